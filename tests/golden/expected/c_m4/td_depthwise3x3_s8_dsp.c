/*
 * 3 x 3 DEPTHWISE_CONV_2D for cores with the DSP extension, one channel at a time, in assembly.
 *
 * Walking along a row, each column's three values are loaded once, the upper two paired into halfwords, and fed to every
 * output that reads the column: SMLAD takes two rows, SMLABB or SMLABT the third. Columns outside the input read its zero
 * point. Rows outside it are left out, their share being in a bias of their own; then only two rows remain, one SMLAD.
 *
 * A channel's constants, `channel`: w0 w1 of each column in halfwords (3 words); w2 of columns 0 and 1, then of column 2
 * in the high half (2); bias, factor, offset (see td_fast_channel); the first row's bias; the last row's bias. Weights
 * are 256 fold, as the requantization wants the sums.
 *
 * Registers: r0 input, r1 output, r2 offset, r3-r7 weights, r8-r10 sums, r11 r12 values, lr factor; the bias comes from
 * the stack, which is one load beside others. On the M7 two multiplications never meet: a sum's two are apart by loads or
 * by another output's.
 */
#include "td_kernels.h"

#include "td_dsp.h"

#include "td_requantize_dsp.h"


#if defined(__ARM_FEATURE_DSP)
__attribute__((naked)) static void td_depthwise3x3_s8_dsp_3x3x4_channel(const int8_t *input __attribute__((unused)),
        int8_t *output __attribute__((unused)), const uint32_t *channel __attribute__((unused))) {
    __asm volatile(
        "push {r2, r4-r11, lr}\n"
        "sub sp, #12\n"
        "ldr lr, [r2, #24]\n"
        "ldm r2, {r3-r7}\n"
        "lsl r12, r6, #16\n"
        "pkhtb r3, r12, r3, asr #16\n"
        "pkhtb r4, r6, r4, asr #16\n"
        "pkhtb r5, r7, r5, asr #16\n"
        "ldr r6, [r2, #32]\n"
        "ldr r2, [r2, #28]\n"
        "mvn r11, #0x7f007f\n"
        "smlad r8, r11, r3, r6\n"
        "ldrsb r11, [r0, #0]\n"
        "ldrsb r12, [r0, #12]\n"
        "pkhbt r11, r11, r12, lsl #16\n"
        "smlad r8, r11, r4, r8\n"
        "smlad r9, r11, r3, r6\n"
        "ldrsb r11, [r0, #4]\n"
        "ldrsb r12, [r0, #16]\n"
        "pkhbt r11, r11, r12, lsl #16\n"
        "smlad r8, r11, r5, r8\n"
        "smlad r9, r11, r4, r9\n"
        "smlad r10, r11, r3, r6\n"
        "smmla r8, r8, lr, r2\n"
        "ssat r8, #8, r8, asr #14\n"
        "strb r8, [r1, #0]\n"
        "ldrsb r11, [r0, #8]\n"
        "ldrsb r12, [r0, #20]\n"
        "pkhbt r11, r11, r12, lsl #16\n"
        "smlad r9, r11, r5, r9\n"
        "smlad r10, r11, r4, r10\n"
        "smmla r9, r9, lr, r2\n"
        "ssat r9, #8, r9, asr #14\n"
        "strb r9, [r1, #4]\n"
        "mvn r11, #0x7f007f\n"
        "smlad r10, r11, r5, r10\n"
        "smmla r10, r10, lr, r2\n"
        "ssat r10, #8, r10, asr #14\n"
        "strb r10, [r1, #8]\n"
        "add r0, r0, #12\n"
        "add r1, r1, #12\n"
        "sub r0, r0, #12\n"

        "ldr r12, [sp, #12]\n"
        "ldm r12, {r3-r7}\n"
        "ldr r12, [r12, #20]\n"
        "str r12, [sp, #4]\n"
        "ldr r8, [sp, #4]\n"
        "mvn r11, #0x7f007f\n"
        "smlad r8, r11, r3, r8\n"
        "smlabb r8, r11, r6, r8\n"
        "ldr r9, [sp, #4]\n"
        "ldrsb r11, [r0, #0]\n"
        "ldrsb r12, [r0, #12]\n"
        "pkhbt r11, r11, r12, lsl #16\n"
        "ldrsb r12, [r0, #24]\n"
        "smlad r8, r11, r4, r8\n"
        "smlad r9, r11, r3, r9\n"
        "smlabt r8, r12, r6, r8\n"
        "smlabb r9, r12, r6, r9\n"
        "ldr r10, [sp, #4]\n"
        "ldrsb r11, [r0, #4]\n"
        "ldrsb r12, [r0, #16]\n"
        "pkhbt r11, r11, r12, lsl #16\n"
        "ldrsb r12, [r0, #28]\n"
        "smlad r8, r11, r5, r8\n"
        "smlad r9, r11, r4, r9\n"
        "smlad r10, r11, r3, r10\n"
        "smlabt r8, r12, r7, r8\n"
        "smlabt r9, r12, r6, r9\n"
        "smlabb r10, r12, r6, r10\n"
        "smmla r8, r8, lr, r2\n"
        "ssat r8, #8, r8, asr #14\n"
        "strb r8, [r1, #0]\n"
        "ldrsb r11, [r0, #8]\n"
        "ldrsb r12, [r0, #20]\n"
        "pkhbt r11, r11, r12, lsl #16\n"
        "ldrsb r12, [r0, #32]\n"
        "smlad r9, r11, r5, r9\n"
        "smlad r10, r11, r4, r10\n"
        "smlabt r9, r12, r7, r9\n"
        "smlabt r10, r12, r6, r10\n"
        "smmla r9, r9, lr, r2\n"
        "ssat r9, #8, r9, asr #14\n"
        "strb r9, [r1, #4]\n"
        "mvn r11, #0x7f007f\n"
        "smlad r10, r11, r5, r10\n"
        "smlabt r10, r11, r7, r10\n"
        "smmla r10, r10, lr, r2\n"
        "ssat r10, #8, r10, asr #14\n"
        "strb r10, [r1, #8]\n"
        "add r0, r0, #12\n"
        "add r1, r1, #12\n"
        "ldr r12, [sp, #12]\n"
        "ldr r6, [r12, #36]\n"
        "mvn r11, #0x7f007f\n"
        "smlad r8, r11, r3, r6\n"
        "ldrsb r11, [r0, #0]\n"
        "ldrsb r12, [r0, #12]\n"
        "pkhbt r11, r11, r12, lsl #16\n"
        "smlad r8, r11, r4, r8\n"
        "smlad r9, r11, r3, r6\n"
        "ldrsb r11, [r0, #4]\n"
        "ldrsb r12, [r0, #16]\n"
        "pkhbt r11, r11, r12, lsl #16\n"
        "smlad r8, r11, r5, r8\n"
        "smlad r9, r11, r4, r9\n"
        "smlad r10, r11, r3, r6\n"
        "smmla r8, r8, lr, r2\n"
        "ssat r8, #8, r8, asr #14\n"
        "strb r8, [r1, #0]\n"
        "ldrsb r11, [r0, #8]\n"
        "ldrsb r12, [r0, #20]\n"
        "pkhbt r11, r11, r12, lsl #16\n"
        "smlad r9, r11, r5, r9\n"
        "smlad r10, r11, r4, r10\n"
        "smmla r9, r9, lr, r2\n"
        "ssat r9, #8, r9, asr #14\n"
        "strb r9, [r1, #4]\n"
        "mvn r11, #0x7f007f\n"
        "smlad r10, r11, r5, r10\n"
        "smmla r10, r10, lr, r2\n"
        "ssat r10, #8, r10, asr #14\n"
        "strb r10, [r1, #8]\n"
        "add r0, r0, #12\n"
        "add r1, r1, #12\n"
        "sub r0, r0, #12\n"
        "add sp, #12\n"
        "pop {r2, r4-r11, pc}\n");
}
#else
static int32_t td_depthwise3x3_s8_dsp_3x3x4_value(const int8_t *input, int32_t y, int32_t x) {
    return x < 0 || x >= 3 ? -128 : input[(y * 3 + x) * 4];
}

static void td_depthwise3x3_s8_dsp_3x3x4_channel(const int8_t *input, int8_t *output, const uint32_t *channel) {
    const td_fast_channel form = {0, (int32_t)channel[6], (int32_t)channel[7]};
    for (int32_t oy = 0; oy < 3; oy++) {
        const int32_t first = oy == 0, last = oy == 2;
        const int32_t y = oy * 1 - 1 + first;
        /* The output may lie over the input: a row is read whole before it is written. */
        int8_t row[3];
        for (int32_t ox = 0; ox < 3; ox++) {
            int32_t sum = (int32_t)channel[first ? 8 : last ? 9 : 5];
            for (int32_t k = 0; k < 3; k++) {
                const int32_t x = ox * 1 - 1 + k;
                const uint32_t upper = (uint32_t)td_depthwise3x3_s8_dsp_3x3x4_value(input, y, x);
                const uint32_t lower = (uint32_t)td_depthwise3x3_s8_dsp_3x3x4_value(input, y + 1, x);
                const uint32_t w2 = k == 0 ? channel[3] : channel[k == 1 ? 3 : 4] >> 16;
                const uint32_t w = first ? td_pkhbt(channel[k] >> 16, w2) : channel[k];
                sum = td_smlad(td_pkhbt(upper, lower), w, sum);
                if (!first && !last) {
                    sum = td_smlabb((uint32_t)td_depthwise3x3_s8_dsp_3x3x4_value(input, y + 2, x), w2, sum);
                }
            }
            row[ox] = (int8_t)td_fast_requantize(sum, &form, 14);
        }
        for (int32_t ox = 0; ox < 3; ox++, output += 4) {
            *output = row[ox];
        }
    }
}
#endif

void td_depthwise3x3_s8_dsp_3x3x4(const int8_t *input, int8_t *output, const uint32_t *channels) {
    for (int32_t c = 0; c < 4; c++) {
        td_depthwise3x3_s8_dsp_3x3x4_channel(input + c, output + c, channels + 10 * c);
    }
}
