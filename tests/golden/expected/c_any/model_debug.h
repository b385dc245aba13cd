/*
 * golden, step by step, for measuring and proving: not needed in a product, and costs nothing when not called.
 */
#ifndef MODEL_DEBUG_H
#define MODEL_DEBUG_H

#include <stdint.h>

#include "model.h"

#define MODEL_STEP_COUNT 7

/* Run step 0 .. MODEL_STEP_COUNT - 1; run in order from 0 they are one inference. */
void model_run_step(uint32_t step);

/* The arena, MODEL_ARENA_BYTES long; tinydeploy.json says where each tensor lies after its step. */
uint8_t *model_arena(void);

#endif
