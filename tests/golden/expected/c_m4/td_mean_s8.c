/*
 * MEAN of a tensor seen as (outer, reduced, inner) in portable C; 1 / reduced is part of the multiplier, as in TFLM's
 * QuantizedMeanOrSum.
 */
#include "td_kernels.h"

#include "td_dsp.h"

void td_mean_s8_1x9x4(const int8_t *input, int8_t *output) {
    for (int32_t outer = 0; outer < 1; outer++, input += 36) {
        for (int32_t inner = 0; inner < 4; inner++) {
            int32_t acc = 864;
            for (int32_t i = 0; i < 9; i++) {
                acc += input[i * 4 + inner];
            }
            const uint32_t scaled = (uint32_t)td_rescale(acc, 1091550619, 0);
            *output++ = (int8_t)td_clamp((int32_t)(scaled + 108u), -128, 127);
        }
    }
}
