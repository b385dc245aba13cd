/*
 * FULLY_CONNECTED in portable C: weights (out, in) int8, the input's zero point folded into the biases.
 */
#include "td_kernels.h"

#include "td_dsp.h"

void td_fully_connected_s8_4_3(const int8_t *input, int8_t *output, const int8_t *weights, const td_channel *channels) {
    for (int32_t row = 0; row < 1; row++, input += 4) {
        const int8_t *w = weights;
        for (int32_t oc = 0; oc < 3; oc++, w += 4) {
            uint32_t acc = (uint32_t)channels[oc].bias;
            for (int32_t c = 0; c < 4; c++) {
                acc += (uint32_t)(w[c] * input[c]);
            }
            *output++ = td_requantize((int32_t)acc, &channels[oc], -105, -128, 127);
        }
    }
}
