/*
 * SOFTMAX over rows, int8 to int8. exp() of every possible difference from the row's maximum comes from a table that the
 * compiler computed in TFLM's fixed point (Q0.31); here remain the sum (Q12.19) and one reciprocal per row.
 */
#include "td_kernels.h"

#include "td_dsp.h"

static int32_t td_saturating_left_shift(int32_t x, int32_t bits) {
    const int64_t shifted = (int64_t)x * (1 << bits);
    return shifted > INT32_MAX ? INT32_MAX : shifted < INT32_MIN ? INT32_MIN : (int32_t)shifted;
}

/* 1 / sum of a positive Q12.19 value as a Q0.31 mantissa and how many bits it lies over one (TFLM's GetReciprocal). */
static int32_t td_reciprocal(int32_t sum, int32_t *bits_over_unit) {
    int32_t headroom = 0;
    while (((uint32_t)sum << headroom & 0x80000000u) == 0) {
        headroom++;
    }
    *bits_over_unit = 12 - headroom;
    const int32_t a = (int32_t)(((uint32_t)sum << headroom) - 0x80000000u);
    const int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    /* Newton-Raphson in Q2.29 from 48/17 - 32/17 d. */
    int32_t estimate = 1515870810 + td_high_mul(half_denominator, -1010580540);
    TD_ROLLED
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - td_high_mul(half_denominator, estimate);
        estimate += td_saturating_left_shift(td_high_mul(estimate, error), 2);
    }
    return td_saturating_left_shift(estimate, 1);
}

void td_softmax_s8_1x3(const int8_t *input, int8_t *output, const int32_t *exp_table) {
    TD_ROLLED
    for (int32_t row = 0; row < 1; row++, input += 3, output += 3) {
        int32_t max = -128;
        TD_ROLLED
        for (int32_t c = 0; c < 3; c++) {
            max = input[c] > max ? input[c] : max;
        }
        int32_t sum = 0;
        TD_ROLLED
        for (int32_t c = 0; c < 3; c++) {
            const int32_t distance = max - input[c];
            if (distance < 256) {
                sum += td_rounding_shift(exp_table[distance], 12);
            }
        }
        int32_t bits_over_unit;
        const int32_t scale = td_reciprocal(sum, &bits_over_unit);
        TD_ROLLED
        for (int32_t c = 0; c < 3; c++) {
            const int32_t distance = max - input[c];
            int32_t out = -128;
            if (distance < 256) {
                out = td_rounding_shift(td_high_mul(scale, exp_table[distance]), bits_over_unit + 23) - 128;
            }
            output[c] = (int8_t)td_clamp(out, -128, 127);
        }
    }
}
