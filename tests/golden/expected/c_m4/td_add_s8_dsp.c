/*
 * ADD of two tensors of one shape for cores with the DSP extension.
 *
 * At the common scale one operand is its value times 2^19, since its multiplier is one half; the other is looked up. The
 * table holds twice the value, both zero points in it. Then one rounding high multiplication that adds one half and the
 * output's zero point before the shift, the sign, so that halves round away from zero, and a saturating shift: TFLM's
 * AddFunc, step by step (td_right_channel says why the sign may be taken before the multiplication).
 */
#include "td_kernels.h"

#include "td_dsp.h"

void td_add_s8_dsp_3x3x4(const int8_t *a, const int8_t *b, int8_t *output, const int32_t *table) {
    const int8_t *shifted = a;
    const uint8_t *tabled = (const uint8_t *)b;
    for (int32_t i = 0; i < 36; i++) {
        const int32_t sum2 = shifted[i] * (1 << 20) + table[tabled[i]];
        const int32_t high = td_smmlar(sum2, 1874832687, -100139008) + (sum2 >> 31);
        output[i] = (int8_t)td_ssat8_asr(high, 20);
    }
}
