/*
 * ADD in portable C. Both operands are brought to a common scale 20 bits finer, summed, and rescaled to the output, in
 * TFLM's roundings (AddFunc). `strides` of 0 broadcast an operand along that dimension.
 */
#include "td_kernels.h"

#include "td_dsp.h"

void td_add_s8_3x3x4(const int8_t *a, const int8_t *b, int8_t *output) {
    for (int32_t i = 0; i < 36; i++) {
        const int32_t scaled_a = td_rescale((a[i] - -128) * (1 << 20), 1073741824, 0);
        const int32_t scaled_b = td_rescale((b[i] - 110) * (1 << 20), 2078563439, -2);
        const int32_t sum = td_rescale(scaled_a + scaled_b, 1874832687, -20);
        output[i] = (int8_t)td_clamp(sum + -96, -128, 127);
    }
}
