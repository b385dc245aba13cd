/*
 * CONV_2D, any shape, in portable C: input (H, W, C) int8, weights (out, kernel h, kernel w, in per group) int8.
 * Exact by construction: the loops are TFLM's ConvPerChannel; sums wrap modulo 2^32 as they do there.
 */
#include "td_kernels.h"

#include "td_dsp.h"

void td_conv_s8_6x6x1_3x3_4(const int8_t *input, int8_t *output, const int8_t *weights, const td_channel *channels) {
    for (int32_t oy = 0; oy < 3; oy++) {
        for (int32_t ox = 0; ox < 3; ox++) {
            const int32_t y0 = oy * 2 - 0;
            const int32_t x0 = ox * 2 - 0;
            const int8_t *w = weights;
            for (int32_t oc = 0; oc < 4; oc++) {
                const int32_t first = oc / 4 * 1;
                uint32_t acc = (uint32_t)channels[oc].bias;
                for (int32_t ky = 0; ky < 3; ky++) {
                    const int32_t y = y0 + ky * 1;
                    for (int32_t kx = 0; kx < 3; kx++, w += 1) {
                        const int32_t x = x0 + kx * 1;
                        if (y < 0 || y >= 6 || x < 0 || x >= 6) {
                            continue;
                        }
                        const int8_t *in = input + (y * 6 + x) * 1 + first;
                        for (int32_t c = 0; c < 1; c++) {
                            acc += (uint32_t)(w[c] * (in[c] + 128));
                        }
                    }
                }
                *output++ = td_requantize((int32_t)acc, &channels[oc], -128, -128,
                                          127);
            }
        }
    }
}
void td_conv_s8_3x3x4_1x1_4(const int8_t *input, int8_t *output, const int8_t *weights, const td_channel *channels) {
    for (int32_t oy = 0; oy < 3; oy++) {
        for (int32_t ox = 0; ox < 3; ox++) {
            const int32_t y0 = oy * 1 - 0;
            const int32_t x0 = ox * 1 - 0;
            const int8_t *w = weights;
            for (int32_t oc = 0; oc < 4; oc++) {
                const int32_t first = oc / 4 * 4;
                uint32_t acc = (uint32_t)channels[oc].bias;
                for (int32_t ky = 0; ky < 1; ky++) {
                    const int32_t y = y0 + ky * 1;
                    for (int32_t kx = 0; kx < 1; kx++, w += 4) {
                        const int32_t x = x0 + kx * 1;
                        const int8_t *in = input + (y * 3 + x) * 4 + first;
                        for (int32_t c = 0; c < 4; c++) {
                            acc += (uint32_t)(w[c] * (in[c]));
                        }
                    }
                }
                *output++ = td_requantize((int32_t)acc, &channels[oc], 110, -128,
                                          127);
            }
        }
    }
}
