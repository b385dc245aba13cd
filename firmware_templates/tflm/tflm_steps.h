/* An entry of its own for each operator, between TensorFlow Lite Micro's interpreter and the
 * operator's kernel: so that a debugger and the virtual board can tell operators apart, and so that
 * one can be run alone. No part of what the model costs: a product leaves it out.
 */
#ifndef TFLM_STEPS_H
#define TFLM_STEPS_H

#include <cstdint>

#include "tensorflow/lite/micro/micro_common.h"

/* Before an interpreter is made. */
void tflm_forget_steps();

/* The registration that the interpreter gets for its next operator, which `kernel` computes. It
 * asks once per operator, in their order. Null where `kernel` is, or where no operator is left. */
const TFLMRegistration *tflm_step(const TFLMRegistration *kernel);

/* Runs one operator of the interpreter that was made last. */
TfLiteStatus tflm_run_step(uint32_t step);

#endif
