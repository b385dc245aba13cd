/*
 * Runs a model over garbage: whatever the arena held before must not matter.
 */
#include "unit.h"

static void fill(uint8_t *bytes, uint32_t size, uint32_t seed) {
    uint32_t state = seed * 2654435761u + 1;
    for (uint32_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(state >> 24);
    }
}

void unit_run(uint32_t index, const uint8_t *inputs, uint32_t count, uint8_t *outputs) {
    const unit *u = units[index];
    for (uint32_t i = 0; i < count; i++) {
        fill(u->arena(), u->arena_bytes, i);
        u->invoke(inputs + i * u->input_bytes, outputs + i * u->output_bytes);
    }
}
