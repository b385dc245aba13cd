/*
 * The kernels of this model, each specialised to the shapes it is used with.
 */
#ifndef TD_KERNELS_H
#define TD_KERNELS_H

#include <stdint.h>

#include "td_requantize_dsp.h"

void td_conv_s8_dsp_6x6x1_3x3_4(const int8_t *input, int8_t *output, const uint32_t *weights, void *scratch);
void td_depthwise3x3_s8_dsp_3x3x4(const int8_t *input, int8_t *output, const uint32_t *channels);
void td_conv_s8_dsp_3x3x4_1x1_4(const int8_t *input, int8_t *output, const uint32_t *weights, void *scratch);
void td_add_s8_dsp_add_36(const int8_t *input0, const int8_t *input1, int8_t *output);
void td_mean_s8_1x9x4(const int8_t *input, int8_t *output);
void td_conv_s8_dsp_1x4_3(const int8_t *input, int8_t *output, const uint32_t *weights, const td_right_channel *channels, void *scratch);
void td_softmax_s8_1x3(const int8_t *input, int8_t *output, const int32_t *exp_table);

#endif
