/*
 * CONV_2D and FULLY_CONNECTED for cores with the DSP extension, as a matrix product over patches.
 *
 * The patches of a few output pixels are widened to halfwords (`patch`, interleaved word by word so that one pointer
 * serves all), then every pair of output channels a, b runs over them. A weight halfword holds 256 a + b: with x the
 * activations, `both` sums (256 a + b) x and `low` sums b x, so both - low = 256 * the sum of a x. Sums wrap modulo 2^32,
 * which is harmless: the compiler has checked that 256 times either sum fits.
 *
 * Requantization takes the cheapest form that the compiler could prove; see td_requantize_dsp.h. Where it is the fast
 * one, the block is written out in assembly, with factors and offsets in the stream of weights.
 */
#include "td_kernels.h"

#include "td_dsp.h"

#include "td_requantize_dsp.h"


/* 3 output pixels, all channels, from their patches. */
#if defined(__ARM_FEATURE_DSP)
__attribute__((naked)) static void td_conv_s8_dsp_6x6x1_3x3_4_block3(const uint32_t *patch __attribute__((unused)),
        int8_t *output __attribute__((unused)), const uint32_t *weights __attribute__((unused)),
        const uint32_t *end __attribute__((unused))) {
    __asm volatile(
        "push {r0, r1, r3-r11, lr}\n"
        "1:\n"
        "ldrd r14, r12, [r2], #8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r14\n"
        "smlad r4, r12, r10, r14\n"
        "smlad r5, r12, r11, r14\n"
        "sxtb16 r12, r12\n"
        "smuad r6, r12, r9\n"
        "smuad r7, r12, r10\n"
        "smuad r8, r12, r11\n"
        "ldm r0!, {r9, r10, r11}\n"
        "ldr r14, [r2], #4\n"
        "smlad r3, r14, r9, r3\n"
        "smlad r4, r14, r10, r4\n"
        "smlad r5, r14, r11, r5\n"
        "sxtb16 r14, r14\n"
        "smlad r6, r14, r9, r6\n"
        "smlad r7, r14, r10, r7\n"
        "smlad r8, r14, r11, r8\n"
        "ldrd r12, r14, [r2], #8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r3\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, r12, r11, r5\n"
        "sxtb16 r12, r12\n"
        "smlad r6, r12, r9, r6\n"
        "smlad r7, r12, r10, r7\n"
        "smlad r8, r12, r11, r8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r14, r9, r3\n"
        "smlad r4, r14, r10, r4\n"
        "smlad r5, r14, r11, r5\n"
        "sxtb16 r14, r14\n"
        "smlad r6, r14, r9, r6\n"
        "smlad r7, r14, r10, r7\n"
        "smlad r8, r14, r11, r8\n"
        "ldrd r12, r14, [r2], #8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r3\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, r12, r11, r5\n"
        "sxtb16 r12, r12\n"
        "smlad r6, r12, r9, r6\n"
        "smlad r7, r12, r10, r7\n"
        "smlad r8, r12, r11, r8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r14, r9, r3\n"
        "smlad r4, r14, r10, r4\n"
        "smlad r5, r14, r11, r5\n"
        "sxtb16 r14, r14\n"
        "smlad r6, r14, r9, r6\n"
        "smlad r7, r14, r10, r7\n"
        "smlad r8, r14, r11, r8\n"
        "ldr r0, [sp]\n"
        "ldm r2!, {r9-r12, lr}\n"
        "sub r3, r3, r6\n"
        "smmla r3, r3, r9, r10\n"
        "ssat r3, #8, r3, asr #14\n"
        "strb r3, [r1, #0]\n"
        "add r6, r11, r6, lsl #8\n"
        "smmla r6, r6, r12, lr\n"
        "ssat r6, #8, r6, asr #14\n"
        "strb r6, [r1, #1]\n"
        "sub r4, r4, r7\n"
        "smmla r4, r4, r9, r10\n"
        "ssat r4, #8, r4, asr #14\n"
        "strb r4, [r1, #4]\n"
        "add r7, r11, r7, lsl #8\n"
        "smmla r7, r7, r12, lr\n"
        "ssat r7, #8, r7, asr #14\n"
        "strb r7, [r1, #5]\n"
        "sub r5, r5, r8\n"
        "smmla r5, r5, r9, r10\n"
        "ssat r5, #8, r5, asr #14\n"
        "strb r5, [r1, #8]\n"
        "add r8, r11, r8, lsl #8\n"
        "smmla r8, r8, r12, lr\n"
        "ssat r8, #8, r8, asr #14\n"
        "strb r8, [r1, #9]\n"
        "adds r1, #2\n"
        "ldr r3, [sp, #8]\n"
        "cmp r2, r3\n"
        "bne 1b\n"
        "pop {r0, r1, r3-r11, pc}\n");
}
#else
static void td_conv_s8_dsp_6x6x1_3x3_4_block3(const uint32_t *patch, int8_t *output, const uint32_t *weights, const uint32_t *end) {
    for (; weights != end; output += 2) {
        int32_t bias[1], both[1][3], low[1][3] = {0};
        for (int32_t pair = 0; pair < 1; pair++) {
            bias[pair] = (int32_t)*weights++;
            for (int32_t pixel = 0; pixel < 3; pixel++) {
                both[pair][pixel] = bias[pair];
            }
        }
        for (int32_t word = 0; word < 6; word += 2, weights += 2) {
            for (int32_t i = 0; i < 6; i++) {
                const int32_t pair = i / 6, half = i / 3 % 2, pixel = i % 3;
                const uint32_t w = weights[2 * pair + half];
                const uint32_t x = patch[(word + half) * 3 + pixel];
                both[pair][pixel] = td_smlad(w, x, both[pair][pixel]);
                low[pair][pixel] = td_smlad(td_sxtb16(w), x, low[pair][pixel]);
            }
        }
        for (int32_t pair = 0; pair < 1; pair++, weights += 5) {
            const td_fast_channel a = {bias[pair], (int32_t)weights[0], (int32_t)weights[1]};
            const td_fast_channel b = {(int32_t)weights[2], (int32_t)weights[3], (int32_t)weights[4]};
            for (int32_t pixel = 0; pixel < 3; pixel++) {
                const int32_t sum_a = td_difference(both[pair][pixel], low[pair][pixel]);
                const int32_t sum_b = td_sum(b.bias, td_left(low[pair][pixel], 8));
                int8_t *out = output + pixel * 4 + 2 * pair;
                out[0] = (int8_t)td_fast_requantize(sum_a, &a, 14);
                out[1] = (int8_t)td_fast_requantize(sum_b, &b, 14);
            }
        }
    }
}
#endif

/*
 * One patch to halfwords, `stride` words apart. Four bytes at a time become the halfword pairs (0, 2) and (1, 3)
 * and what is left of each run of 3 follows after all runs
 * - the weights are packed in this order.
 */
static inline void td_conv_s8_dsp_6x6x1_3x3_4_gather(const int8_t *input, int32_t y0, int32_t x0, int8_t *edge, uint32_t *patch, int32_t stride) {
    if (y0 < 0 || y0 > 3 || x0 < 0 || x0 > 3) {
        for (int32_t ky = 0; ky < 3; ky++) {
            const int32_t y = y0 + ky;
            const int8_t *run = input + (y * 6 + x0) * 1;
            if (y < 0 || y >= 6) {
                __builtin_memset(edge, -128, 3);
                run = edge;
            } else if (x0 < 0 || x0 > 3) {
                const int32_t first = x0 < 0 ? -x0 : 0;
                const int32_t last = x0 > 3 ? 6 - x0 : 3;
                __builtin_memset(edge, -128, 3);
                __builtin_memcpy(edge + first * 1, run + first * 1, (uint32_t)((last - first) * 1));
                run = edge;
            }
            for (int32_t i = 0; i < 0; i++) {
                td_widen(patch + (ky * 0 + 2 * i) * stride, stride, td_load32(run + 4 * i));
            }
            for (int32_t i = 0; i < 3; i++) {
                const int32_t halfword = 0 + ky * 3 + i;
                td_store16(patch + (halfword >> 1) * stride, halfword & 1, run[0 + i]);
            }
        }
        return;
    }
    const int8_t *run = input + (y0 * 6 + x0) * 1;
    td_store16(patch + 0 * stride, 0, run[0]);
    td_store16(patch + 0 * stride, 1, run[1]);
    td_store16(patch + 1 * stride, 0, run[2]);
    td_store16(patch + 1 * stride, 1, run[6]);
    td_store16(patch + 2 * stride, 0, run[7]);
    td_store16(patch + 2 * stride, 1, run[8]);
    td_store16(patch + 3 * stride, 0, run[12]);
    td_store16(patch + 3 * stride, 1, run[13]);
    td_store16(patch + 4 * stride, 0, run[14]);
}

void td_conv_s8_dsp_6x6x1_3x3_4(const int8_t *input, int8_t *output, const uint32_t *weights,
void *scratch) {
    uint32_t *patch = scratch;
    int8_t *edge = (int8_t *)scratch + 72;
    int32_t oy = 0, ox = 0;
    for (int32_t i = 0; i < 3; i++) {
        for (int32_t p = 0; p < 3; p++) {
            td_conv_s8_dsp_6x6x1_3x3_4_gather(input, oy * 2 - 0, ox * 2 - 0, edge, patch + p, 3);
            if (++ox == 3) {
                ox = 0;
                oy++;
            }
        }
        td_conv_s8_dsp_6x6x1_3x3_4_block3(patch, output, weights, weights + 24);
        output += 12;
    }
}

/* 3 output pixels, all channels, from their patches. */
#if defined(__ARM_FEATURE_DSP)
__attribute__((naked)) static void td_conv_s8_dsp_3x3x4_1x1_4_block3(const uint32_t *patch __attribute__((unused)),
        int8_t *output __attribute__((unused)), const uint32_t *weights __attribute__((unused)),
        const uint32_t *end __attribute__((unused))) {
    __asm volatile(
        "push {r0, r1, r3-r11, lr}\n"
        "1:\n"
        "ldrd r14, r12, [r2], #8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r14\n"
        "smlad r4, r12, r10, r14\n"
        "smlad r5, r12, r11, r14\n"
        "sxtb16 r12, r12\n"
        "smuad r6, r12, r9\n"
        "smuad r7, r12, r10\n"
        "smuad r8, r12, r11\n"
        "ldm r0!, {r9, r10, r11}\n"
        "ldr r14, [r2], #4\n"
        "smlad r3, r14, r9, r3\n"
        "smlad r4, r14, r10, r4\n"
        "smlad r5, r14, r11, r5\n"
        "sxtb16 r14, r14\n"
        "smlad r6, r14, r9, r6\n"
        "smlad r7, r14, r10, r7\n"
        "smlad r8, r14, r11, r8\n"
        "ldr r0, [sp]\n"
        "ldm r2!, {r9-r11}\n"
        "sub r3, r3, r6\n"
        "asr r3, r3, #7\n"
        "smmlar r12, r3, r9, r10\n"
        "add r12, r12, r3, asr #31\n"
        "asr r12, r12, r11\n"
        "ssat r12, #8, r12\n"
        "strb r12, [r1, #0]\n"
        "sub r4, r4, r7\n"
        "asr r4, r4, #7\n"
        "smmlar r12, r4, r9, r10\n"
        "add r12, r12, r4, asr #31\n"
        "asr r12, r12, r11\n"
        "ssat r12, #8, r12\n"
        "strb r12, [r1, #4]\n"
        "sub r5, r5, r8\n"
        "asr r5, r5, #7\n"
        "smmlar r12, r5, r9, r10\n"
        "add r12, r12, r5, asr #31\n"
        "asr r12, r12, r11\n"
        "ssat r12, #8, r12\n"
        "strb r12, [r1, #8]\n"
        "ldm r2!, {r9-r11, lr}\n"
        "add r6, r9, r6, lsl #1\n"
        "smmlar r12, r6, r10, r11\n"
        "add r12, r12, r6, asr #31\n"
        "asr r12, r12, lr\n"
        "ssat r12, #8, r12\n"
        "strb r12, [r1, #1]\n"
        "add r7, r9, r7, lsl #1\n"
        "smmlar r12, r7, r10, r11\n"
        "add r12, r12, r7, asr #31\n"
        "asr r12, r12, lr\n"
        "ssat r12, #8, r12\n"
        "strb r12, [r1, #5]\n"
        "add r8, r9, r8, lsl #1\n"
        "smmlar r12, r8, r10, r11\n"
        "add r12, r12, r8, asr #31\n"
        "asr r12, r12, lr\n"
        "ssat r12, #8, r12\n"
        "strb r12, [r1, #9]\n"
        "adds r1, #2\n"
        "ldr r3, [sp, #8]\n"
        "cmp r2, r3\n"
        "bne 1b\n"
        "pop {r0, r1, r3-r11, pc}\n");
}
#else
static void td_conv_s8_dsp_3x3x4_1x1_4_block3(const uint32_t *patch, int8_t *output, const uint32_t *weights, const uint32_t *end) {
    for (; weights != end; output += 2) {
        int32_t bias[1], both[1][3], low[1][3] = {0};
        for (int32_t pair = 0; pair < 1; pair++) {
            bias[pair] = (int32_t)*weights++;
            for (int32_t pixel = 0; pixel < 3; pixel++) {
                both[pair][pixel] = bias[pair];
            }
        }
        for (int32_t word = 0; word < 2; word += 2, weights += 2) {
            for (int32_t i = 0; i < 6; i++) {
                const int32_t pair = i / 6, half = i / 3 % 2, pixel = i % 3;
                const uint32_t w = weights[2 * pair + half];
                const uint32_t x = patch[(word + half) * 3 + pixel];
                both[pair][pixel] = td_smlad(w, x, both[pair][pixel]);
                low[pair][pixel] = td_smlad(td_sxtb16(w), x, low[pair][pixel]);
            }
        }
        for (int32_t pair = 0; pair < 1; pair++, weights += 7) {
            const td_right_channel a = {bias[pair], (int32_t)weights[0], (int32_t)weights[1], (int32_t)weights[2]};
            const td_right_channel b = {(int32_t)weights[3], (int32_t)weights[4], (int32_t)weights[5],
                                        (int32_t)weights[6]};
            for (int32_t pixel = 0; pixel < 3; pixel++) {
                const int32_t sum_a = td_difference(both[pair][pixel], low[pair][pixel]) >> 7;
                const int32_t sum_b = td_sum(b.bias, td_left(low[pair][pixel], 1));
                int8_t *out = output + pixel * 4 + 2 * pair;
                out[0] = (int8_t)td_right_requantize(sum_a, &a);
                out[1] = (int8_t)td_right_requantize(sum_b, &b);
            }
        }
    }
}
#endif

/*
 * One patch to halfwords, `stride` words apart. Four bytes at a time become the halfword pairs (0, 2) and (1, 3)
 * - the weights are packed in this order.
 */
static inline void td_conv_s8_dsp_3x3x4_1x1_4_gather(const int8_t *input, uint32_t *patch, int32_t stride) {
    const int8_t *run = input;
    td_widen(patch + 0 * stride, stride, td_load32(run + 0));
}

void td_conv_s8_dsp_3x3x4_1x1_4(const int8_t *input, int8_t *output, const uint32_t *weights,
void *scratch) {
    uint32_t *patch = scratch;
    for (int32_t i = 0; i < 3; i++) {
        td_conv_s8_dsp_3x3x4_1x1_4_gather(input + 0, patch + 0, 3);
        td_conv_s8_dsp_3x3x4_1x1_4_gather(input + 4, patch + 1, 3);
        td_conv_s8_dsp_3x3x4_1x1_4_gather(input + 8, patch + 2, 3);
        td_conv_s8_dsp_3x3x4_1x1_4_block3(patch, output, weights, weights + 20);
        input += 12;
        output += 12;
    }
}

/* 1 output pixel, all channels, from their patches. */
static void td_conv_s8_dsp_1x4_3_block1(const uint32_t *patch, int8_t *output, const uint32_t *w,
        const td_right_channel *channels) {
    for (int32_t oc = 0; oc < 3; oc += 2, channels += 2, output += 2) {
        const uint32_t *x = patch;
        int32_t both0 = 0, low0 = 0;
        for (int32_t word = 0; word < 2; word += 2, x += 2, w += 2) {
            const uint32_t pair0 = w[0];
            const uint32_t b0 = td_sxtb16(pair0);
            both0 = td_smlad(pair0, x[0], both0);
            low0 = td_smlad(b0, x[0], low0);
            const uint32_t pair1 = w[1];
            const uint32_t b1 = td_sxtb16(pair1);
            both0 = td_smlad(pair1, x[1], both0);
            low0 = td_smlad(b1, x[1], low0);
        }
        output[0] = (int8_t)td_right_requantize(td_sum(channels[0].bias, (td_difference(both0, low0) >> 7)), &channels[0]);
        if (oc == 2) {
            break;
        }
        output[1] = (int8_t)td_right_requantize(td_sum(channels[1].bias, td_left(low0, 1)), &channels[1]);
    }
}

/*
 * One patch to halfwords, `stride` words apart. Four bytes at a time become the halfword pairs (0, 2) and (1, 3)
 * - the weights are packed in this order.
 */
static inline void td_conv_s8_dsp_1x4_3_gather(const int8_t *input, uint32_t *patch, int32_t stride) {
    const int8_t *run = input;
    td_widen(patch + 0 * stride, stride, td_load32(run + 0));
}

void td_conv_s8_dsp_1x4_3(const int8_t *input, int8_t *output, const uint32_t *weights,
const td_right_channel *channels, void *scratch) {
    uint32_t *patch = scratch;
    for (int32_t i = 0; i < 1; i++) {
        td_conv_s8_dsp_1x4_3_gather(input + 0, patch + 0, 1);
        td_conv_s8_dsp_1x4_3_block1(patch, output, weights, channels);
        input += 4;
        output += 3;
    }
}
