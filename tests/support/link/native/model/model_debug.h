/* The debug interface of the link tests' model: step 0 adds in place, step 1 turns around. */
#ifndef MODEL_DEBUG_H
#define MODEL_DEBUG_H
#include <stdint.h>
#define MODEL_STEP_COUNT 2u
void model_run_step(uint32_t step);
uint8_t *model_arena(void);
#endif
