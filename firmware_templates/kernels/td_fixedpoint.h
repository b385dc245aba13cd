/*
 * TFLite Micro's fixed-point rescaling, exactly: a saturating rounding doubling high
 * multiplication, then a rounding division by a power of two, halves away from zero.
 */
#ifndef TD_FIXEDPOINT_H
#define TD_FIXEDPOINT_H

#include <stdint.h>

/* Before a loop whose variables fill the registers of a small core: it is not unrolled, which would
 * only spill them. */
#if defined(__clang__)
#define TD_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define TD_ROLLED _Pragma("GCC unroll 1")
#else
#define TD_ROLLED
#endif

/* One output channel: bias with the input's zero point folded in where nothing is padded, and the
 * rescaling. */
typedef struct {
    int32_t bias;
    int32_t mantissa; /* 0 or [2^30, 2^31) */
    int32_t shift;    /* -31 .. 30, negative is to the right */
} td_channel;

/* High 32 bits of 2ab, rounded half up. One operand is never INT32_MIN here, so nothing saturates.
 */
#if defined(__ARM_ARCH_6M__)
/* Armv6-M has no long multiplication: four products of halves, whose sums all fit 32 bits. */
static inline int32_t td_high_mul(int32_t a, int32_t b) {
    const int32_t a_high = a >> 16, b_high = b >> 16;
    const uint32_t a_low = (uint32_t)a & 0xffffu, b_low = (uint32_t)b & 0xffffu;
    const int32_t cross = a_high * (int32_t)b_low + (int32_t)(a_low * b_low >> 16);
    const int32_t middle = (int32_t)a_low * b_high + (cross & 0xffff);
    const int32_t high = a_high * b_high + (cross >> 16) + (middle >> 16);
    return (int32_t)((uint32_t)high << 1) + (((middle >> 14 & 3) + 1) >> 1);
}
#else
static inline int32_t td_high_mul(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}
#endif

/* x / 2^exponent to nearest, halves away from zero; 0 <= exponent <= 31. */
static inline int32_t td_rounding_shift(int32_t x, int32_t exponent) {
    const int32_t mask = (int32_t)((1u << exponent) - 1u);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0);
    return (x >> exponent) + (remainder > threshold);
}

/* x * mantissa * 2^(shift - 31) in TFLM's two roundings; a left shift wraps as it does there. */
static inline int32_t td_rescale(int32_t x, int32_t mantissa, int32_t shift) {
    if (shift > 0) {
        return td_high_mul((int32_t)((uint32_t)x << shift), mantissa);
    }
    return td_rounding_shift(td_high_mul(x, mantissa), -shift);
}

static inline int32_t td_clamp(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}

/* An int32 accumulator to int8. */
static inline int8_t td_requantize(int32_t acc, const td_channel *channel, int32_t zero_point,
                                   int32_t low, int32_t high) {
    /* The sum wraps like TFLM's when a model's scales are absurd; unsigned arithmetic makes that
     * defined. */
    const uint32_t scaled = (uint32_t)td_rescale(acc, channel->mantissa, channel->shift);
    return (int8_t)td_clamp((int32_t)(scaled + (uint32_t)zero_point), low, high);
}

/*
 * A channel whose requantization the compiler solved in 32-bit arithmetic. With y the accumulator
 * less the start of its window, cut to [0, span], and F = (high << low bits) + low,
 *     out = (offset + (y * F >> low bits)) >> 24,
 * which equals TFLM's two roundings and the clamp at every accumulator that the channel can reach.
 */
typedef struct {
    int32_t bias; /* the window's start taken off */
    int32_t offset;
    uint32_t high;
    uint32_t low_and_span; /* low << 16 | span >> unit bits */
} td_window_channel;

/* The same where ties round away from zero within the window: `tie` is added where y >= zero. */
typedef struct {
    int32_t bias;
    int32_t offset;
    uint32_t high;
    uint32_t low_and_span;
    int32_t zero;
    int32_t tie;
} td_bent_channel;

/* An accumulator without its bias, `sum`, to y. */
static inline int32_t td_window(int32_t sum, int32_t bias, int32_t span) {
    const int32_t y = (int32_t)((uint32_t)sum + (uint32_t)bias);
    const int32_t positive = y & ~(y >> 31);
    return positive > span ? span : positive;
}

/* y * F >> low_bits; the compiler has checked that y * low and the whole fit 32 bits. */
static inline uint32_t td_window_height(uint32_t y, uint32_t high, uint32_t low, int32_t low_bits) {
    return y * high + (y * low >> low_bits);
}

#endif
