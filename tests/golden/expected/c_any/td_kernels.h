/*
 * The kernels of this model, each specialised to the shapes it is used with.
 */
#ifndef TD_KERNELS_H
#define TD_KERNELS_H

#include <stdint.h>

#include "td_requantize_dsp.h"

void td_conv_s8_6x6x1_3x3_4(const int8_t *input, int8_t *output, const int8_t *weights, const td_channel *channels);
void td_depthwise_s8_3x3x4_3x3(const int8_t *input, int8_t *output, const int8_t *weights, const td_channel *channels);
void td_conv_s8_3x3x4_1x1_4(const int8_t *input, int8_t *output, const int8_t *weights, const td_channel *channels);
void td_add_s8_3x3x4(const int8_t *input0, const int8_t *input1, int8_t *output);
void td_mean_s8_1x9x4(const int8_t *input, int8_t *output);
void td_fully_connected_s8_4_3(const int8_t *input, int8_t *output, const int8_t *weights, const td_channel *channels);
void td_softmax_s8_1x3(const int8_t *input, int8_t *output, const int32_t *exp_table);

#endif
