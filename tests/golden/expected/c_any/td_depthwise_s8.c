/*
 * DEPTHWISE_CONV_2D, any shape, in portable C: weights (kernel h, kernel w, out) int8; output channel o reads input
 * channel o / depth multiplier. Exact by construction: the loops are TFLM's DepthwiseConvPerChannel.
 */
#include "td_kernels.h"

#include "td_dsp.h"

void td_depthwise_s8_3x3x4_3x3(const int8_t *input, int8_t *output, const int8_t *weights, const td_channel *channels) {
    for (int32_t oy = 0; oy < 3; oy++) {
        for (int32_t ox = 0; ox < 3; ox++) {
            const int32_t y0 = oy * 1 - 1;
            const int32_t x0 = ox * 1 - 1;
            for (int32_t oc = 0; oc < 4; oc++) {
                uint32_t acc = (uint32_t)channels[oc].bias;
                for (int32_t ky = 0; ky < 3; ky++) {
                    const int32_t y = y0 + ky * 1;
                    if (y < 0 || y >= 3) {
                        continue;
                    }
                    for (int32_t kx = 0; kx < 3; kx++) {
                        const int32_t x = x0 + kx * 1;
                        if (x < 0 || x >= 3) {
                            continue;
                        }
                        const int32_t in = input[(y * 3 + x) * 4 + oc / 1];
                        acc += (uint32_t)(weights[(ky * 3 + kx) * 4 + oc] * (in + 128));
                    }
                }
                *output++ = td_requantize((int32_t)acc, &channels[oc], -128, -128,
                                          127);
            }
        }
    }
}
