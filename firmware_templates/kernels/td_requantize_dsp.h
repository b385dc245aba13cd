/*
 * Accumulators to int8 with the DSP extension, in the forms that the compiler chooses among.
 */
#ifndef TD_REQUANTIZE_DSP_H
#define TD_REQUANTIZE_DSP_H

#include "td_dsp.h"
#include "td_fixedpoint.h"

/*
 * The proved form: with x = 2^scale * accumulator, bias included,
 *     out = saturate8((offset + high32(x * factor)) >> shift).
 * The compiler found factor and offset such that this equals TFLM's two roundings for every
 * accumulator that the channel can reach.
 */
typedef struct {
    int32_t bias; /* times 2^scale */
    int32_t factor;
    int32_t offset;
} td_fast_channel;

/*
 * TFLM's steps for channels that shift right by at least one. With x2 twice the accumulator, SMMLAR
 * is the rounding doubling high multiplication and adds `offset`, which is one half and the zero
 * point, both before the shift; adding the sign makes halves round away from zero. (TFLM takes the
 * sign after the multiplication, which differs only where that rounds a negative accumulator to 0;
 * then one half less one still shifts to 0.)
 */
typedef struct {
    int32_t bias; /* times 2; times 256 where the weights' stream begins with it */
    int32_t mantissa;
    int32_t offset; /* 2^(shift - 1) + (zero point << shift) */
    int32_t shift;
} td_right_channel;

static inline int32_t td_fast_requantize(int32_t x, const td_fast_channel *channel, int32_t shift) {
    return td_ssat8_asr(td_smmla(x, channel->factor, channel->offset), shift);
}

static inline int32_t td_right_requantize(int32_t x2, const td_right_channel *channel) {
    const int32_t high = td_smmlar(x2, channel->mantissa, channel->offset);
    return td_clamp((high + (x2 >> 31)) >> channel->shift, -128, 127);
}

/* a - b modulo 2^32. */
static inline int32_t td_difference(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a - (uint32_t)b);
}

/* a + b modulo 2^32. */
static inline int32_t td_sum(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* x * 2^n modulo 2^32. */
static inline int32_t td_left(int32_t x, int32_t n) {
    return (int32_t)((uint32_t)x << n);
}

#endif
