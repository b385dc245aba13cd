/* See model.h. The arena: input and sum in place at 0, output at 3,000. */
#include "model.h"
#include "model_debug.h"

static uint8_t arena[MODEL_ARENA_BYTES];

model_input_t *model_input(void) {
    return (model_input_t *)arena;
}

model_output_t *model_output(void) {
    return (model_output_t *)arena + MODEL_INPUT_BYTES;
}

uint8_t *model_arena(void) {
    return arena;
}

void model_run_step(uint32_t step) {
    for (uint32_t i = 0; i < MODEL_INPUT_BYTES; i++) {
        if (step == 0) {
            arena[i] = (uint8_t)(arena[i] + 0x5A);
        } else {
            arena[MODEL_INPUT_BYTES + i] = arena[MODEL_INPUT_BYTES - 1 - i];
        }
    }
}

void model_invoke(const model_input_t *input, model_output_t *output) {
    (void)input; /* always in place here */
    (void)output;
    for (uint32_t step = 0; step < MODEL_STEP_COUNT; step++) {
        model_run_step(step);
    }
}
