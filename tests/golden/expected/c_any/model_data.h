/*
 * Weights, biases and tables of golden, packed in the order in which the kernels read them.
 */
#ifndef MODEL_DATA_H
#define MODEL_DATA_H

#include <stdint.h>

#include "td_requantize_dsp.h"

extern const int8_t model_00_weights[36];
extern const td_channel model_00_channels[4];
extern const int8_t model_01_weights[36];
extern const td_channel model_01_channels[4];
extern const int8_t model_02_weights[16];
extern const td_channel model_02_channels[4];
extern const int8_t model_05_weights[12];
extern const td_channel model_05_channels[3];
extern const int32_t model_06_exp_table[256];

#endif
