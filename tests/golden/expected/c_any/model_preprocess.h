/*
 * From a camera's pixels (uint8, at the model's input size) to the model's input, as in training.
 */
#ifndef MODEL_PREPROCESS_H
#define MODEL_PREPROCESS_H

#include <stdint.h>

#include "model.h"

static inline int8_t model_preprocess_pixel(uint8_t pixel) {
    return (int8_t)(pixel - 128);
}

/* A whole image; `input` may be model_input(). */
static inline void model_preprocess(const uint8_t *pixels, model_input_t *input) {
    for (int32_t i = 0; i < MODEL_INPUT_ELEMENTS; i++) {
        input[i] = model_preprocess_pixel(pixels[i]);
    }
}

#endif
