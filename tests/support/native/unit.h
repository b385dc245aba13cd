/*
 * What a test needs to know of one generated model, and the one function that runs it. Many models are compiled into one
 * program: their names are made distinct by renaming, see compiled.py.
 */
#ifndef UNIT_H
#define UNIT_H

#include <stdint.h>

/* Bytes of the arena that a step may touch. */
typedef struct {
    uint32_t step;
    uint32_t offset;
    uint32_t size;
} unit_region;

typedef struct {
    void (*invoke)(const void *input, void *output);
    void (*run_step)(uint32_t step);
    /* Where step 0 takes a streamed input from; NULL where the input stands in the arena. */
    void (*set_input)(const void *input);
    uint8_t *(*arena)(void);
    uint32_t arena_bytes;
    uint32_t step_count;
    uint32_t input_offset;
    uint32_t input_bytes;
    uint32_t output_offset;
    uint32_t output_bytes;
    const unit_region *regions;
    uint32_t region_count;
} unit;

/* All models of the program. */
extern const unit *const units[];
extern const uint32_t unit_count;

/* Run model `index` on `count` inputs that lie back to back; the outputs go back to back to `outputs`. */
void unit_run(uint32_t index, const uint8_t *inputs, uint32_t count, uint8_t *outputs);

#endif
