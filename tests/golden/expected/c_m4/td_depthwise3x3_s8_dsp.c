/*
 * 3 x 3 DEPTHWISE_CONV_2D for cores with the DSP extension, one channel at a time, in assembly.
 *
 * A row is a list of instructions that the compiler has ordered: see kernels/window3.py there. Windows that leave the input
 * take its zero point, which is in the biases; a first or last row of outputs that misses a row of the input leaves that
 * out, or runs over three rows with weights of 0 for the one beside its window.
 *
 * A channel's constants, five words of `channels`: the bias; w00 w01 w10 w11; w02 w20 w12 w21; a shift, w21, 0, w22, a byte
 * each; the factor. See td_requantize_dsp.h for the forms of requantization.
 *
 * Registers: r0 input, r1 output, r2 bias (or row length, or shift, with the bias elsewhere), r3-r5 columns of the upper
 * two rows of weights, r6 w20 w21, r7 w21 w22, r8-r12 sums and values, lr factor. What else there is stands in the FPU's
 * registers that need not be saved: on the M4, VMOV takes one cycle, a load that follows no other takes two.
 */
#include "td_kernels.h"

#include "td_dsp.h"

#include "td_requantize_dsp.h"


#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FP)
__attribute__((naked)) void td_depthwise3x3_s8_dsp_3x3x4(const int8_t *input __attribute__((unused)),
        int8_t *output __attribute__((unused)), const uint32_t *channels __attribute__((unused))) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "mov r12, r2\n"
        "movw r3, #80\n"
        "add r3, r12\n"
        "vmov s7, r3\n"
        "1:\n"
        "vmov s9, s10, r0, r1\n"
        "ldm r12!, {r2, r3, r5, r7, lr}\n"
        "vmov s8, r12\n"
        "mov r12, #0xff00ff00\n"
        "and r4, r3, r12\n"
        "and r3, r12, r3, lsl #8\n"
        "and r6, r5, r12\n"
        "and r5, r12, r5, lsl #8\n"
        "and r7, r7, r12\n"
        "mvn r12, #0x7f007f\n"
        "smlabb r2, r3, r12, r2\n"
        "smlabb r2, r4, r12, r2\n"
        "smlabb r2, r5, r12, r2\n"
        "lsl r8, r6, #16\n"
        "pkhtb r3, r8, r3, asr #16\n"
        "pkhtb r4, r6, r4, asr #16\n"
        "pkhtb r5, r7, r5, asr #16\n"
        "movs r12, #0\n"
        "vmov s5, r12\n"
        "2:\n"
        "mvn r12, #0x7f007f\n"
        "smlad r8, r12, r3, r2\n"
        "ldrsb r6, [r0, #0]\n"
        "ldrsb r7, [r0, #12]\n"
        "ldrsb r10, [r0, #4]\n"
        "ldrsb r11, [r0, #16]\n"
        "pkhbt r6, r6, r7, lsl #16\n"
        "pkhbt r10, r10, r11, lsl #16\n"
        "smlad r8, r6, r4, r8\n"
        "smlad r9, r6, r3, r2\n"
        "smlad r8, r10, r5, r8\n"
"smmul r8, r8, lr\n"
        "ssat r8, #8, r8, asr #10\n"
        "strb r8, [r1, #0]\n"
        "smlad r9, r10, r4, r9\n"
        "smlad r8, r10, r3, r2\n"
        "ldrsb r6, [r0, #8]\n"
        "ldrsb r7, [r0, #20]\n"
        "pkhbt r6, r6, r7, lsl #16\n"
        "smlad r9, r6, r5, r9\n"
"smmul r9, r9, lr\n"
        "ssat r9, #8, r9, asr #10\n"
        "strb r9, [r1, #4]\n"
        "smlad r8, r6, r4, r8\n"
        "mvn r6, #0x7f007f\n"
        "smlad r8, r6, r5, r8\n"
"smmul r8, r8, lr\n"
        "ssat r8, #8, r8, asr #10\n"
        "strb r8, [r1, #8]\n"
        "add r0, r0, #12\n"
        "add r1, r1, #12\n"
        "vmov r12, s5\n"
        "cmp r12, #1\n"
        "beq 23f\n"
        "21:\n"
        "sub r0, r0, #12\n"
        "vmov r12, s8\n"
        "ldmdb r12, {r2, r3, r5, r7, lr}\n"
        "mov r12, #0xff00ff00\n"
        "and r4, r3, r12\n"
        "and r3, r12, r3, lsl #8\n"
        "and r6, r5, r12\n"
        "and r5, r12, r5, lsl #8\n"
        "and r7, r7, r12\n"
        "3:\n"
        "mvn r12, #0x7f007f\n"
        "smlad r8, r12, r3, r2\n"
        "smlabb r8, r12, r6, r8\n"
        "ldrsb r10, [r0, #0]\n"
        "ldrsb r11, [r0, #12]\n"
        "pkhbt r10, r10, r11, lsl #16\n"
        "smlad r8, r10, r4, r8\n"
        "smlad r9, r10, r3, r2\n"
        "ldrsb r10, [r0, #24]\n"
        "ldrsb r11, [r0, #28]\n"
        "pkhbt r10, r10, r11, lsl #16\n"
        "smlad r8, r10, r7, r8\n"
        "smlad r9, r10, r6, r9\n"
        "smlatb r11, r10, r6, r2\n"
        "ldrsb r10, [r0, #4]\n"
        "ldrsb r12, [r0, #16]\n"
        "pkhbt r10, r10, r12, lsl #16\n"
        "smlad r8, r10, r5, r8\n"
"smmul r8, r8, lr\n"
        "ssat r8, #8, r8, asr #10\n"
        "strb r8, [r1, #0]\n"
        "smlad r9, r10, r4, r9\n"
        "smlad r8, r10, r3, r11\n"
        "ldrsb r10, [r0, #8]\n"
        "ldrsb r11, [r0, #20]\n"
        "pkhbt r10, r10, r11, lsl #16\n"
        "smlad r9, r10, r5, r9\n"
        "smlad r8, r10, r4, r8\n"
        "ldrsb r10, [r0, #32]\n"
        "smlabt r9, r10, r7, r9\n"
"smmul r9, r9, lr\n"
        "ssat r9, #8, r9, asr #10\n"
        "strb r9, [r1, #4]\n"
        "smlabt r8, r10, r6, r8\n"
        "mvn r10, #0x7f007f\n"
        "smlad r8, r10, r5, r8\n"
        "smlabt r8, r10, r7, r8\n"
"smmul r8, r8, lr\n"
        "ssat r8, #8, r8, asr #10\n"
        "strb r8, [r1, #8]\n"
        "add r0, r0, #12\n"
        "add r1, r1, #12\n"
        "22:\n"
        "mvn r12, #0x7f007f\n"
        "smlad r2, r6, r12, r2\n"
        "smlatb r2, r7, r12, r2\n"
        "movs r12, #1\n"
        "vmov s5, r12\n"
        "b 2b\n"
        "23:\n"
        "vmov r0, r1, s9, s10\n"
        "adds r0, #1\n"
        "adds r1, #1\n"
        "vmov r3, r12, s7, s8\n"
        "cmp r12, r3\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n");
}
#else
void td_depthwise3x3_s8_dsp_3x3x4(const int8_t *input, int8_t *output, const uint32_t *channels) {
    for (int32_t c = 0; c < 4; c++, input++, output++, channels += 5) {
        const uint32_t a = channels[1], b = channels[2], d = channels[3];
        const uint32_t packed[9] = {a, a >> 8, b, a >> 16, a >> 24, b >> 16, b >> 8, d >> 8, d >> 24};
        for (int32_t oy = 0; oy < 3; oy++) {
            /* The output may lie over the input: a row is read whole before it is written. */
            int8_t row[3];
            for (int32_t ox = 0; ox < 3; ox++) {
                int32_t sum = (int32_t)channels[0];
                for (int32_t k = 0; k < 9; k++) {
                    const int32_t y = oy * 1 - 1 + k / 3;
                    const int32_t x = ox * 1 - 1 + k % 3;
                    const int32_t inside = y >= 0 && y < 3 && x >= 0 && x < 3;
                    const int32_t value = inside ? input[(y * 3 + x) * 4] : -128;
                    sum = td_sum(sum, (int8_t)(packed[k] & 0xFFu) * value * 256);
                }
                const td_fast_channel form = {0, (int32_t)channels[4], 0};
                row[ox] = (int8_t)td_fast_requantize(sum, &form, 10);
            }
            for (int32_t ox = 0; ox < 3; ox++) {
                output[(oy * 3 + ox) * 4] = row[ox];
            }
        }
    }
}
#endif
