/* A model for the link's tests: the output is the input backwards, each byte with 0x5A added.
 * Its input is larger than a frame, and running it destroys the input.
 */
#ifndef MODEL_H
#define MODEL_H
#include <stdint.h>
#define MODEL_NAME "backwards"
#define MODEL_SHA256 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define MODEL_FINGERPRINT "0123456789abcdef"
#define MODEL_INPUT_BYTES 3000
#define MODEL_OUTPUT_BYTES 3000
#define MODEL_ARENA_BYTES 6000
typedef int8_t model_input_t;
typedef int8_t model_output_t;
model_input_t *model_input(void);
model_output_t *model_output(void);
void model_invoke(const model_input_t *input, model_output_t *output);
#endif
