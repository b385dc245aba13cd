/*
 * CONV_2D and FULLY_CONNECTED for cores with the DSP extension, as a matrix product over patches.
 *
 * The patches of a few output pixels are widened to halfwords (`patch`, interleaved word by word so that one pointer
 * serves all), then every pair of output channels a, b runs over them. A weight halfword holds 256 a + b: with x the
 * activations, `both` sums (256 a + b) x and `low` sums b x, so both - low = 256 * the sum of a x. Sums wrap modulo 2^32,
 * which is harmless: the compiler has checked that 256 times either sum fits.
 *
 * Where windows overlap, a patch holds the columns that all of a block's pixels read, and the taps of a kernel row find
 * theirs among them. Blocks do not go beyond the end of an output row then.
 *
 * Requantization takes the cheapest form that the compiler could prove; see td_requantize_dsp.h.
 */
#include "td_kernels.h"

#include "td_dsp.h"

#include "td_requantize_dsp.h"

/* `count` blocks of pixels, the first from `run`; `rest` is the stream's end, or the channels' requantization. */
typedef void (*td_conv_s8_block)(const int8_t *run, int8_t *output, const uint32_t *weights, const void *rest,
        uint32_t *patch, int32_t count, int32_t pitch);

/*
 * A patch: 3 rows, `pitch` bytes apart, of 3 bytes in each of 3 columns, to words that take the columns in turn. Four
 * bytes become the halfwords (0, 2) and (1, 3), and the weights are packed in this order. What is left of each run follows after all runs.
 */
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FP)
__attribute__((naked, used, aligned(8))) static void td_conv_s8_gather1(void) {
    __asm volatile(
        "ldrsb r4, [r0, #0]\n"
        "ldrsb r5, [r0, #2]\n"
        "ldrsb r6, [r0, #4]\n"
        "ldrsb r7, [r0, #1]\n"
        "ldrsb r8, [r0, #3]\n"
        "ldrsb r9, [r0, #5]\n"
        "pkhbt r4, r4, r7, lsl #16\n"
        "pkhbt r5, r5, r8, lsl #16\n"
        "pkhbt r6, r6, r9, lsl #16\n"
        "stm r1!, {r4, r5, r6}\n"
        "ldrsb r4, [r0, #2]\n"
        "ldrsb r5, [r0, #4]\n"
        "ldrsb r6, [r0, #6]\n"
        "add r0, r0, r2\n"
        "ldrsb r7, [r0, #0]\n"
        "ldrsb r8, [r0, #2]\n"
        "ldrsb r9, [r0, #4]\n"
        "pkhbt r4, r4, r7, lsl #16\n"
        "pkhbt r5, r5, r8, lsl #16\n"
        "pkhbt r6, r6, r9, lsl #16\n"
        "stm r1!, {r4, r5, r6}\n"
        "ldrsb r4, [r0, #1]\n"
        "ldrsb r5, [r0, #3]\n"
        "ldrsb r6, [r0, #5]\n"
        "ldrsb r7, [r0, #2]\n"
        "ldrsb r8, [r0, #4]\n"
        "ldrsb r9, [r0, #6]\n"
        "pkhbt r4, r4, r7, lsl #16\n"
        "pkhbt r5, r5, r8, lsl #16\n"
        "pkhbt r6, r6, r9, lsl #16\n"
        "stm r1!, {r4, r5, r6}\n"
        "add r0, r0, r2\n"
        "ldrsb r4, [r0, #0]\n"
        "ldrsb r5, [r0, #2]\n"
        "ldrsb r6, [r0, #4]\n"
        "ldrsb r7, [r0, #1]\n"
        "ldrsb r8, [r0, #3]\n"
        "ldrsb r9, [r0, #5]\n"
        "pkhbt r4, r4, r7, lsl #16\n"
        "pkhbt r5, r5, r8, lsl #16\n"
        "pkhbt r6, r6, r9, lsl #16\n"
        "stm r1!, {r4, r5, r6}\n"
        "ldrsb r4, [r0, #2]\n"
        "ldrsb r5, [r0, #4]\n"
        "ldrsb r6, [r0, #6]\n"
        "stm r1!, {r4, r5, r6}\n"
        "bx lr\n"
        );
}
#else
static void td_conv_s8_gather1(const int8_t *run, uint32_t *patch, int32_t pitch) {
    static const int32_t columns[3] = {0, 2, 4};
    const int8_t *first = run;
    for (int32_t halfword = 0; halfword < 9; halfword++) {
        const int8_t *rest = first + halfword / 3 * pitch + 0 + halfword % 3;
        for (int32_t column = 0; column < 3; column++) {
            td_store16(patch + halfword / 2 * 3 + column, halfword % 2, rest[columns[column]]);
        }
    }
    for (int32_t column = 0; column < 3; column++) {
        td_store16(patch + 12 + column, 1, 0);
    }
}
#endif

/*
 * A patch: 1 row, `pitch` bytes apart, of 4 bytes in each of 3 columns, to words that take the columns in turn. Four
 * bytes become the halfwords (0, 2) and (1, 3), and the weights are packed in this order.
 */
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FP)
__attribute__((naked, used, aligned(8))) static void td_conv_s8_gather2(void) {
    __asm volatile(
        "ldr r7, [r0, #0]\n"
        "ldr r8, [r0, #4]\n"
        "ldr r9, [r0, #8]\n"
        "sxtb16 r4, r7\n"
        "sxtb16 r5, r8\n"
        "sxtb16 r6, r9\n"
        "sxtb16 r7, r7, ror #8\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r9, r9, ror #8\n"
        "stm r1!, {r4, r5, r6, r7, r8, r9}\n"
        "bx lr\n"
        );
}
#else
static void td_conv_s8_gather2(const int8_t *run, uint32_t *patch, int32_t pitch) {
    static const int32_t columns[3] = {0, 4, 8};
    for (int32_t row = 0; row < 1; row++, run += pitch) {
        for (int32_t i = 0; i < 1; i++, patch += 6) {
            for (int32_t column = 0; column < 3; column++) {
                td_widen(patch + column, 3, td_load32(run + columns[column] + 4 * i));
            }
        }
    }
    (void)pitch;
}
#endif

/*
 * A patch: 1 row, `pitch` bytes apart, of 4 bytes in each of 1 column, to words that take the columns in turn. Four
 * bytes become the halfwords (0, 2) and (1, 3), and the weights are packed in this order.
 */
__attribute__((used)) static void td_conv_s8_gather3(const int8_t *run, uint32_t *patch, int32_t pitch) {
    static const int32_t columns[1] = {0};
    for (int32_t row = 0; row < 1; row++, run += pitch) {
        for (int32_t i = 0; i < 1; i++, patch += 2) {
            for (int32_t column = 0; column < 1; column++) {
                td_widen(patch + column, 1, td_load32(run + columns[column] + 4 * i));
            }
        }
    }
    (void)pitch;
}

/*
 * `count` blocks of 3 output pixels with 4 channels, 2 at a time. 5 words of weights for each of 1 tap and channel.
 */
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FP)
__attribute__((naked, aligned(8))) static void td_conv_s8_block1(const int8_t *run __attribute__((unused)), int8_t *output __attribute__((unused)),
        const uint32_t *weights __attribute__((unused)), const void *end __attribute__((unused)),
        uint32_t *patch __attribute__((unused)), int32_t count __attribute__((unused)), int32_t pitch __attribute__((unused))) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "vmov s0, r1\n"
        "vmov s1, r3\n"
        "vmov s2, r2\n"
        ".p2align 3\n"
        "0:\n"
        "vmov s3, r0\n"
        "ldr r1, [sp, #36]\n"
        "ldr r2, [sp, #44]\n"
        "bl td_conv_s8_gather1\n"
        "ldr r0, [sp, #36]\n"
        "vmov r2, s2\n"
        "vmov r1, s0\n"
        ".p2align 3\n"
        "1:\n"
        "ldm r2!, {r5, r8, r12, lr}\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r5\n"
        "smlad r4, r12, r10, r5\n"
        "smlad r5, r12, r11, r5\n"
        "smlad r6, lr, r9, r8\n"
        "smlad r7, lr, r10, r8\n"
        "smlad r8, lr, r11, r8\n"
        "ldrd r12, lr, [r2], #8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r3\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, r12, r11, r5\n"
        "smlad r6, lr, r9, r6\n"
        "smlad r7, lr, r10, r7\n"
        "smlad r8, lr, r11, r8\n"
        "ldrd r12, lr, [r2], #8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r3\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, r12, r11, r5\n"
        "smlad r6, lr, r9, r6\n"
        "smlad r7, lr, r10, r7\n"
        "smlad r8, lr, r11, r8\n"
        "ldrd r12, lr, [r2], #8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r3\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, r12, r11, r5\n"
        "smlad r6, lr, r9, r6\n"
        "smlad r7, lr, r10, r7\n"
        "smlad r8, lr, r11, r8\n"
        "ldrd r12, lr, [r2], #8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r3\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, r12, r11, r5\n"
        "smlad r6, lr, r9, r6\n"
        "smlad r7, lr, r10, r7\n"
        "smlad r8, lr, r11, r8\n"
        "ldm r2!, {r9, r10}\n"
        "smmul r5, r5, r9\n"
        "smmul r8, r8, r10\n"
        "ssat r5, #8, r5, asr #10\n"
        "ssat r8, #8, r8, asr #10\n"
        "strb r8, [r1, #9]\n"
        "strb r5, [r1, #8]\n"
        "smmul r4, r4, r9\n"
        "smmul r7, r7, r10\n"
        "ssat r4, #8, r4, asr #10\n"
        "ssat r7, #8, r7, asr #10\n"
        "strb r7, [r1, #5]\n"
        "strb r4, [r1, #4]\n"
        "smmul r3, r3, r9\n"
        "smmul r6, r6, r10\n"
        "ssat r3, #8, r3, asr #10\n"
        "ssat r6, #8, r6, asr #10\n"
        "strb r6, [r1, #1]\n"
        "strb r3, [r1], #2\n"
        "ldr r0, [sp, #36]\n"
        "vmov r3, s1\n"
        "cmp r2, r3\n"
        "bne 1b\n"
        "vmov r0, s3\n"
        "ldr r2, [sp, #40]\n"
        "add r1, r1, #8\n"
        "vmov s0, r1\n"
        "add r0, r0, #6\n"
        "subs r2, #1\n"
        "str r2, [sp, #40]\n"
        "bne 0b\n"
        "pop {r4-r11, pc}\n"
        );
}
#else
static void td_conv_s8_block1(const int8_t *run, int8_t *output, const uint32_t *weights, const void *rest, uint32_t *patch,
        int32_t count, int32_t pitch) {
    const uint32_t *end = (const uint32_t *)rest;
    for (; count > 0; count--, run += 6, output += 12) {
        int8_t *out = output;
        td_conv_s8_gather1(run, patch, pitch);
        for (const uint32_t *w = weights; w != end; out += 2) {
            int32_t both[1][3] = { {0} }, low[1][3] = { {0} };
            for (int32_t pair = 0; pair < 1; pair++) {
                for (int32_t pixel = 0; pixel < 3; pixel++) {
                    both[pair][pixel] = (int32_t)*w;
                    low[pair][pixel] = (int32_t)w[1];
                }
                w += 2;
            }
            for (int32_t at = 0; at < 5; at++) {
                const uint32_t *x = patch + at * 3;
                for (int32_t pair = 0; pair < 1; pair++, w += 2) {
                    for (int32_t pixel = 0; pixel < 3; pixel++) {
                        both[pair][pixel] = td_smlad(*w, x[pixel], both[pair][pixel]);
                        low[pair][pixel] = td_smlad(w[1], x[pixel], low[pair][pixel]);
                    }
                }
            }
            for (int32_t pair = 0; pair < 1; pair++) {
                const int32_t factor_a = (int32_t)*w++;
                const int32_t factor_b = (int32_t)*w++;
                for (int32_t pixel = 0; pixel < 3; pixel++) {
                    const int32_t sum_a = both[pair][pixel], sum_b = low[pair][pixel];
                    int8_t *to = out + pixel * 4 + 2 * pair;
                    to[0] = (int8_t)td_ssat8_asr(td_smmla(sum_a, factor_a, 0), 10);
                    to[1] = (int8_t)td_ssat8_asr(td_smmla(sum_b, factor_b, 0), 10);
                }
            }
        }
    }
}
#endif

/*
 * `count` blocks of 3 output pixels with 4 channels, 2 at a time. 2 words of weights for each of 1 tap and channel.
 */
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FP)
__attribute__((naked, aligned(8))) static void td_conv_s8_block2(const int8_t *run __attribute__((unused)), int8_t *output __attribute__((unused)),
        const uint32_t *weights __attribute__((unused)), const void *end __attribute__((unused)),
        uint32_t *patch __attribute__((unused)), int32_t count __attribute__((unused)), int32_t pitch __attribute__((unused))) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "vmov s0, r1\n"
        "vmov s1, r3\n"
        "vmov s2, r2\n"
        ".p2align 3\n"
        "0:\n"
        "vmov s3, r0\n"
        "ldr r1, [sp, #36]\n"
        "bl td_conv_s8_gather2\n"
        "ldr r0, [sp, #36]\n"
        "vmov r2, s2\n"
        "vmov r1, s0\n"
        ".p2align 3\n"
        "1:\n"
        "ldm r2!, {r5, r8, r12, lr}\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r5\n"
        "smlad r4, r12, r10, r5\n"
        "smlad r5, r12, r11, r5\n"
        "smlad r6, lr, r9, r8\n"
        "smlad r7, lr, r10, r8\n"
        "smlad r8, lr, r11, r8\n"
        "ldrd r12, lr, [r2], #8\n"
        "ldm r0!, {r9, r10, r11}\n"
        "smlad r3, r12, r9, r3\n"
        "smlad r4, r12, r10, r4\n"
        "smlad r5, r12, r11, r5\n"
        "smlad r6, lr, r9, r6\n"
        "smlad r7, lr, r10, r7\n"
        "smlad r8, lr, r11, r8\n"
        "ldm r2!, {r9, r10, r11}\n"
        "smmlar lr, r6, r9, r10\n"
        "add lr, lr, r6, asr #31\n"
        "asr lr, lr, r11\n"
        "ssat lr, #8, lr\n"
        "strb lr, [r1, #1]\n"
        "smmlar lr, r7, r9, r10\n"
        "add lr, lr, r7, asr #31\n"
        "asr lr, lr, r11\n"
        "ssat lr, #8, lr\n"
        "strb lr, [r1, #5]\n"
        "smmlar lr, r8, r9, r10\n"
        "add lr, lr, r8, asr #31\n"
        "asr lr, lr, r11\n"
        "ssat lr, #8, lr\n"
        "strb lr, [r1, #9]\n"
        "ldm r2!, {r9, r10, r11}\n"
        "smmlar lr, r5, r9, r10\n"
        "add lr, lr, r5, asr #31\n"
        "asr lr, lr, r11\n"
        "ssat lr, #8, lr\n"
        "strb lr, [r1, #8]\n"
        "smmlar lr, r4, r9, r10\n"
        "add lr, lr, r4, asr #31\n"
        "asr lr, lr, r11\n"
        "ssat lr, #8, lr\n"
        "strb lr, [r1, #4]\n"
        "smmlar lr, r3, r9, r10\n"
        "add lr, lr, r3, asr #31\n"
        "asr lr, lr, r11\n"
        "ssat lr, #8, lr\n"
        "strb lr, [r1], #2\n"
        "ldr r0, [sp, #36]\n"
        "vmov r3, s1\n"
        "cmp r2, r3\n"
        "bne 1b\n"
        "vmov r0, s3\n"
        "ldr r2, [sp, #40]\n"
        "add r1, r1, #8\n"
        "vmov s0, r1\n"
        "add r0, r0, #12\n"
        "subs r2, #1\n"
        "str r2, [sp, #40]\n"
        "bne 0b\n"
        "pop {r4-r11, pc}\n"
        );
}
#else
static void td_conv_s8_block2(const int8_t *run, int8_t *output, const uint32_t *weights, const void *rest, uint32_t *patch,
        int32_t count, int32_t pitch) {
    const uint32_t *end = (const uint32_t *)rest;
    for (; count > 0; count--, run += 12, output += 12) {
        int8_t *out = output;
        td_conv_s8_gather2(run, patch, pitch);
        for (const uint32_t *w = weights; w != end; out += 2) {
            int32_t both[1][3] = { {0} }, low[1][3] = { {0} };
            for (int32_t pair = 0; pair < 1; pair++) {
                for (int32_t pixel = 0; pixel < 3; pixel++) {
                    both[pair][pixel] = (int32_t)*w;
                    low[pair][pixel] = (int32_t)w[1];
                }
                w += 2;
            }
            for (int32_t at = 0; at < 2; at++) {
                const uint32_t *x = patch + at * 3;
                for (int32_t pair = 0; pair < 1; pair++, w += 2) {
                    for (int32_t pixel = 0; pixel < 3; pixel++) {
                        both[pair][pixel] = td_smlad(*w, x[pixel], both[pair][pixel]);
                        low[pair][pixel] = td_smlad(w[1], x[pixel], low[pair][pixel]);
                    }
                }
            }
            for (int32_t pair = 0; pair < 1; pair++) {
                const td_right_channel b = {0, (int32_t)w[0], (int32_t)w[1], (int32_t)w[2]};
                w += 3;
                const td_right_channel a = {0, (int32_t)w[0], (int32_t)w[1], (int32_t)w[2]};
                w += 3;
                for (int32_t pixel = 0; pixel < 3; pixel++) {
                    const int32_t sum_a = both[pair][pixel], sum_b = low[pair][pixel];
                    int8_t *to = out + pixel * 4 + 2 * pair;
                    to[0] = (int8_t)td_right_requantize(sum_a, &a);
                    to[1] = (int8_t)td_right_requantize(sum_b, &b);
                }
            }
        }
    }
}
#endif

/* Some blocks of a row: `count` of them, of which those from `first` to before `last` lie inside the input's width; how
 * far apart they are in columns of the input and bytes of the output, and how many columns each reads. */
typedef struct {
    td_conv_s8_block block;
    int32_t count, first, last, step, step_bytes, span;
} td_conv_s8_blocks;

/* A layer whose windows move over rows, reading each pixel's channels from `from` on. `edge`, with rows of `pitch` bytes
 * in whole words, holds the patch of a block at the input's border with padding around it. */
typedef struct {
    td_conv_s8_blocks blocks[3];
    int32_t out_h, in_h, in_w, in_c, kernel_h, stride_h, pad_h, pad_w, zero_point, pitch;
} td_conv_s8_rows;

static __attribute__((noinline)) void td_conv_s8_border(const td_conv_s8_rows *s, const int8_t *input, int32_t y0,
        int32_t x0, int32_t span, int8_t *edge) {
    const int32_t first = x0 < 0 ? -x0 : 0;
    const int32_t last = x0 + span > s->in_w ? s->in_w - x0 : span;
    __builtin_memset(edge, s->zero_point, (uint32_t)(s->kernel_h * s->pitch));
    edge += first * s->in_c;
    for (int32_t ky = 0; ky < s->kernel_h; ky++, edge += s->pitch) {
        const int32_t y = y0 + ky;
        if (y >= 0 && y < s->in_h && first < last) {
            __builtin_memcpy(edge, input + (y * s->in_w + x0 + first) * s->in_c, (uint32_t)((last - first) * s->in_c));
        }
    }
}

static __attribute__((noinline)) void td_conv_s8_all_rows(const td_conv_s8_rows *s, const int8_t *input,
        int8_t *output, const uint32_t *weights, const void *rest, uint32_t *patch, int8_t *edge, int32_t from) {
    for (int32_t oy = 0; oy < s->out_h; oy++) {
        const int32_t y0 = oy * s->stride_h - s->pad_h;
        int32_t x0 = -s->pad_w;
        for (const td_conv_s8_blocks *part = s->blocks; part != s->blocks + 3; part++) {
            for (int32_t i = 0; i < part->count;) {
                int32_t blocks = part->last - i;
                if (i >= part->first && blocks > 0 && y0 >= 0 && y0 <= s->in_h - s->kernel_h) {
                    const int8_t *run = input + (y0 * s->in_w + x0) * s->in_c + from;
                    part->block(run, output, weights, rest, patch, blocks, s->in_w * s->in_c);
                } else {
                    blocks = 1;
                    td_conv_s8_border(s, input, y0, x0, part->span, edge);
                    part->block(edge + from, output, weights, rest, patch, 1, s->pitch);
                }
                i += blocks;
                x0 += blocks * part->step;
                output += blocks * part->step_bytes;
            }
        }
    }
}

void td_conv_s8_dsp_6x6x1_3x3_4(const int8_t *input, int8_t *output, const uint32_t *weights,
void *scratch) {
    static const td_conv_s8_rows rows = {
        {
            {td_conv_s8_block1, 1, 0, 1, 6, 12, 7},
        },
        3, 7, 7, 1, 3, 2, 0, 0, -128, 8,
    };
    uint32_t *patch = (uint32_t *)scratch;
    int8_t *frame = (int8_t *)scratch + 60;
    /* The input is small: all of it with its padding. */
    __builtin_memset(frame, -128, 49);
    for (int32_t y = 0; y < 6; y++) {
        __builtin_memcpy(frame + 0 + y * 7, input + y * 6, 6);
    }
    td_conv_s8_all_rows(&rows, frame, output, weights, weights + 28, patch,
            frame, 0);
}

void td_conv_s8_dsp_3x3x4_1x1_4(const int8_t *input, int8_t *output, const uint32_t *weights,
void *scratch) {
    td_conv_s8_block2(input + 0, output + 0, weights, weights + 24, (uint32_t *)scratch, 3, 0);
}

static void td_conv_s8_dsp_1x4_3_block1(const int8_t *run, int8_t *output, const uint32_t *weights, const void *rest,
        uint32_t *patch, int32_t count, int32_t pitch) {
    for (; count > 0; count--, run += 0, output += 0) {
        const td_right_channel *channels = (const td_right_channel *)rest;
        const uint32_t *w = weights;
        td_conv_s8_gather3(run, patch, pitch);
        for (int32_t oc = 0; oc < 3; oc += 2, channels += 2) {
            const uint32_t *x = patch;
            int8_t *out = output + oc;
            int32_t both0 = 0, low0 = 0;
            for (int32_t word = 0; word < 2; word++, x += 1) {
                const uint32_t pair = *w++;
                const uint32_t b = td_sxtb16(pair);
                both0 = td_smlad(pair, x[0], both0);
                low0 = td_smlad(b, x[0], low0);
            }
            out[0] = (int8_t)td_right_requantize(td_sum(channels[0].bias, (td_difference(both0, low0) >> 7)), &channels[0]);
            if (oc == 2) {
                break;
            }
            out[1] = (int8_t)td_right_requantize(td_sum(channels[1].bias, td_left(low0, 1)), &channels[1]);
        }
    }
}

void td_conv_s8_dsp_1x4_3(const int8_t *input, int8_t *output, const uint32_t *weights,
const td_right_channel *channels, void *scratch) {
    td_conv_s8_dsp_1x4_3_block1(input + 0, output + 0, weights, channels, (uint32_t *)scratch, 1, 0);
}

