/*
 * Weights, biases and tables of golden, packed in the order in which the kernels read them.
 */
#ifndef MODEL_DATA_H
#define MODEL_DATA_H

#include <stdint.h>

#include "td_requantize_dsp.h"

extern const uint32_t model_00_weights[28];
extern const uint32_t model_01_channels[20];
extern const uint32_t model_02_weights[24];
extern const uint32_t model_05_weights[4];
extern const td_right_channel model_05_channels[4];
extern const int32_t model_06_exp_table[256];

#endif
