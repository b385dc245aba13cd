/*
 * The DSP instructions that kernels use, by their Arm names: intrinsics where the core has them,
 * and the same meaning in plain C elsewhere, so that every kernel also runs on a host under
 * sanitizers.
 */
#ifndef TD_DSP_H
#define TD_DSP_H

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#include <arm_acle.h>

/* acc + a.low * b.low + a.high * b.high over signed halfwords; wraps (and sets Q, which nobody
 * reads). */
static inline int32_t td_smlad(uint32_t a, uint32_t b, int32_t acc) {
    return __smlad((int16x2_t)a, (int16x2_t)b, acc);
}

/* acc + a.low * b.low. */
static inline int32_t td_smlabb(uint32_t a, uint32_t b, int32_t acc) {
    return __smlabb((int32_t)a, (int32_t)b, acc);
}

/* acc + a.low * b.high. */
static inline int32_t td_smlabt(uint32_t a, uint32_t b, int32_t acc) {
    return __smlabt((int32_t)a, (int32_t)b, acc);
}

/* Bytes 0 and 2, sign-extended to two halfwords. */
static inline uint32_t td_sxtb16(uint32_t x) {
    return (uint32_t)__sxtb16((int8x4_t)x);
}

/* Bytes 1 and 3, sign-extended to two halfwords: SXTB16 with its operand rotated by 8. */
static inline uint32_t td_sxtb16_ror8(uint32_t x) {
    return (uint32_t)__sxtb16((int8x4_t)(x >> 8 | x << 24));
}

/* Bytes 0 and 2, sign-extended and added to the halfwords of acc. */
static inline uint32_t td_sxtab16(uint32_t acc, uint32_t x) {
    return (uint32_t)__sxtab16((int16x2_t)acc, (int8x4_t)x);
}

/* Bytes 1 and 3 likewise: SXTAB16 with its operand rotated by 8. */
static inline uint32_t td_sxtab16_ror8(uint32_t acc, uint32_t x) {
    return (uint32_t)__sxtab16((int16x2_t)acc, (int8x4_t)(x >> 8 | x << 24));
}

/* Halfword by halfword a + b. */
static inline uint32_t td_sadd16(uint32_t a, uint32_t b) {
    return (uint32_t)__sadd16((int16x2_t)a, (int16x2_t)b);
}

/* acc + the high 32 bits of a * b. */
static inline int32_t td_smmla(int32_t a, int32_t b, int32_t acc) {
    int32_t result;
    __asm__("smmla %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));
    return result;
}

/* acc + the high 32 bits of a * b rounded half up. */
static inline int32_t td_smmlar(int32_t a, int32_t b, int32_t acc) {
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));
    return result;
}

/* x >> shift saturated to int8; `shift` is a constant. */
#define td_ssat8_asr(x, shift) __ssat((x) >> (shift), 8)

/* a.low in the low half, b.low in the high half. */
static inline uint32_t td_pkhbt(uint32_t a, uint32_t b) {
    return (a & 0xFFFFu) | b << 16;
}

#else

static inline int32_t td_low(uint32_t x) {
    return (int16_t)(x & 0xFFFFu);
}

static inline int32_t td_high(uint32_t x) {
    return (int16_t)(x >> 16);
}

static inline int32_t td_smlad(uint32_t a, uint32_t b, int32_t acc) {
    const uint32_t low = (uint32_t)(td_low(a) * td_low(b));
    const uint32_t high = (uint32_t)(td_high(a) * td_high(b));
    return (int32_t)((uint32_t)acc + low + high);
}

static inline int32_t td_smlabb(uint32_t a, uint32_t b, int32_t acc) {
    return (int32_t)((uint32_t)acc + (uint32_t)(td_low(a) * td_low(b)));
}

static inline int32_t td_smlabt(uint32_t a, uint32_t b, int32_t acc) {
    return (int32_t)((uint32_t)acc + (uint32_t)(td_low(a) * td_high(b)));
}

static inline uint32_t td_sxtb16(uint32_t x) {
    return ((uint32_t)(int8_t)(x & 0xFFu) & 0xFFFFu) | (uint32_t)(int8_t)(x >> 16 & 0xFFu) << 16;
}

static inline uint32_t td_sxtb16_ror8(uint32_t x) {
    return td_sxtb16(x >> 8 | x << 24);
}

static inline uint32_t td_sadd16(uint32_t a, uint32_t b) {
    return ((a + b) & 0xFFFFu) | ((a >> 16) + (b >> 16)) << 16;
}

static inline uint32_t td_sxtab16(uint32_t acc, uint32_t x) {
    return td_sadd16(acc, td_sxtb16(x));
}

static inline uint32_t td_sxtab16_ror8(uint32_t acc, uint32_t x) {
    return td_sadd16(acc, td_sxtb16_ror8(x));
}

static inline int32_t td_smmla(int32_t a, int32_t b, int32_t acc) {
    return (int32_t)((uint32_t)acc + (uint32_t)(int32_t)((int64_t)a * b >> 32));
}

static inline int32_t td_smmlar(int32_t a, int32_t b, int32_t acc) {
    return (int32_t)((uint32_t)acc + (uint32_t)(int32_t)(((int64_t)a * b + 0x80000000) >> 32));
}

static inline int32_t td_ssat8_asr(int32_t x, int32_t shift) {
    const int32_t shifted = x >> shift;
    return shifted < -128 ? -128 : shifted > 127 ? 127 : shifted;
}

static inline uint32_t td_pkhbt(uint32_t a, uint32_t b) {
    return (a & 0xFFFFu) | b << 16;
}

#endif

/* Four bytes to halfwords: 0 and 2 in one word, 1 and 3 in the word `stride` further on. */
static inline void td_widen(uint32_t *words, int32_t stride, uint32_t bytes) {
    words[0] = td_sxtb16(bytes);
    words[stride] = td_sxtb16_ror8(bytes);
}

/* Put a halfword into the low (0) or high (1) half of a word in memory. */
static inline void td_store16(uint32_t *word, int32_t half, int32_t value) {
    const int16_t halfword = (int16_t)value;
    __builtin_memcpy((uint8_t *)word + 2 * half, &halfword, sizeof halfword);
}

/* Four bytes from any address as one word: a single LDR on cores that allow unaligned access. */
static inline uint32_t td_load32(const void *address) {
    uint32_t word;
    __builtin_memcpy(&word, address, sizeof word);
    return word;
}

/* A word as four bytes to any address. */
static inline void td_store32(void *address, uint32_t word) {
    __builtin_memcpy(address, &word, sizeof word);
}

#endif
