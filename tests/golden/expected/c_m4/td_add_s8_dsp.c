/*
 * ADD and SUB of two tensors of one shape for cores with the DSP extension, four elements at a time.
 *
 * out = saturate8((constant + (256 a * factor_a >> 16) + (256 b * factor_b >> 16)) >> shift): the compiler found factors and
 * a constant with which this equals TFLM's roundings for every pair of int8 values. SMLAW takes a halfword that is a value
 * times 256. The output may take the place of an operand.
 */
#include "td_kernels.h"

#include "td_dsp.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

/* acc + (factor * pair.low >> 16). */
static inline int32_t td_add_low(int32_t factor, uint32_t pair, int32_t acc) {
    return __smlawb(factor, (int32_t)pair, acc);
}

/* acc + (factor * pair.high >> 16). */
static inline int32_t td_add_high(int32_t factor, uint32_t pair, int32_t acc) {
    return __smlawt(factor, (int32_t)pair, acc);
}

#else

static inline int32_t td_add_low(int32_t factor, uint32_t pair, int32_t acc) {
    return acc + (int32_t)((int64_t)factor * (int16_t)(uint16_t)(pair & 0xFFFFu) >> 16);
}

static inline int32_t td_add_high(int32_t factor, uint32_t pair, int32_t acc) {
    return td_add_low(factor, pair >> 16, acc);
}

#endif

void td_add_s8_dsp_add_36(const int8_t *a, const int8_t *b, int8_t *output) {
    for (int32_t i = 0; i < 9; i++, a += 4, b += 4, output += 4) {
        const uint32_t a4 = td_load32(a), b4 = td_load32(b);
        const uint32_t a_odd = a4 & 0xFF00FF00u, a_even = a4 << 8 & 0xFF00FF00u;
        const uint32_t b_odd = b4 & 0xFF00FF00u, b_even = b4 << 8 & 0xFF00FF00u;
        output[0] = (int8_t)td_ssat8_asr(td_add_low(226832849, b_even, td_add_low(468708172, a_even, -263669175)), 22);
        output[1] = (int8_t)td_ssat8_asr(td_add_low(226832849, b_odd, td_add_low(468708172, a_odd, -263669175)), 22);
        output[2] = (int8_t)td_ssat8_asr(td_add_high(226832849, b_even, td_add_high(468708172, a_even, -263669175)), 22);
        output[3] = (int8_t)td_ssat8_asr(td_add_high(226832849, b_odd, td_add_high(468708172, a_odd, -263669175)), 22);
    }
}
