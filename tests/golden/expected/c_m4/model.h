/*
 * golden, compiled by tinydeploy 0.1.0 for Cortex-M4.
 * model.tflite: sha256 62d3c2faa1bb889f84582898164eca20ca963c8cc17e2fa15340f8884d0d61eb
 *
 * Fill model_input(), call model_invoke(), read model_output():
 *     model_invoke(model_input(), model_output());
 * or hand over buffers of your own, which are then copied. Nothing is allocated; one inference at a time.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_NAME "golden"
#define MODEL_SHA256 "62d3c2faa1bb889f84582898164eca20ca963c8cc17e2fa15340f8884d0d61eb"
#define MODEL_FINGERPRINT "0000000000000000"

/* Static RAM of the model: activations, scratch, input and output together. */
#define MODEL_ARENA_BYTES 152
/* Multiply-accumulates of one inference. */
#define MODEL_MACS 804

typedef int8_t model_input_t;
/* Shape 6 x 6 x 1, height x width x channels. */
#define MODEL_INPUT_ELEMENTS 36
#define MODEL_INPUT_BYTES 36
#define MODEL_INPUT_HEIGHT 6
#define MODEL_INPUT_WIDTH 6
#define MODEL_INPUT_CHANNELS 1
/* real = MODEL_INPUT_SCALE * (q - MODEL_INPUT_ZERO_POINT) */
#define MODEL_INPUT_SCALE 0.003921569f
#define MODEL_INPUT_ZERO_POINT (-128)

typedef int8_t model_output_t;
/* Shape 3. */
#define MODEL_OUTPUT_ELEMENTS 3
#define MODEL_OUTPUT_BYTES 3
/* real = MODEL_OUTPUT_SCALE * (q - MODEL_OUTPUT_ZERO_POINT) */
#define MODEL_OUTPUT_SCALE 0.00390625f
#define MODEL_OUTPUT_ZERO_POINT (-128)

#define MODEL_CLASS_COUNT 3
extern const char *const model_class_names[MODEL_CLASS_COUNT];

/* Whether the input arrives row by row. */
#define MODEL_STREAMED 0

/* The input's place in the arena. It is used for other things during model_invoke(): fill it before every call. */
model_input_t *model_input(void);

/* The output's place in the arena, valid from the end of model_invoke() to the next call. */
model_output_t *model_output(void);

/* One inference. Either pointer may be the model's own buffer, and is then not copied. */
void model_invoke(const model_input_t *input, model_output_t *output);

#ifdef __cplusplus
}
#endif

#endif
