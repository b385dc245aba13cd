/*
 * The host's side of unit.h: requests on stdin (u32 index, u32 count, inputs), outputs to stdout, until stdin ends.
 *
 * Every input runs twice. model_invoke() gets heap buffers of exactly the right size. Step by step, the arena is
 * poisoned but for what the step's operator may read and write, so that the address sanitizer sees a kernel that leaves
 * its buffers although it stays in the arena. Both must give the same output.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

static void run_steps(const unit *u, const uint8_t *input, uint8_t *output) {
    uint8_t *arena = u->arena();
    memset(arena, 0xA5, u->arena_bytes);
    if (u->set_input != NULL) {
        u->set_input(input);
    } else {
        memcpy(arena + u->input_offset, input, u->input_bytes);
    }
    for (uint32_t step = 0; step < u->step_count; step++) {
        ASAN_POISON_MEMORY_REGION(arena, u->arena_bytes);
        for (uint32_t i = 0; i < u->region_count; i++) {
            const unit_region *region = &u->regions[i];
            if (region->step == step) {
                ASAN_UNPOISON_MEMORY_REGION(arena + region->offset, region->size);
            }
        }
        u->run_step(step);
    }
    ASAN_UNPOISON_MEMORY_REGION(arena, u->arena_bytes);
    memcpy(output, arena + u->output_offset, u->output_bytes);
}

static void serve(uint32_t index, uint32_t count) {
    const unit *u = units[index];
    const size_t in_size = (size_t)count * u->input_bytes;
    const size_t out_size = (size_t)count * u->output_bytes;
    uint8_t *inputs = malloc(in_size);
    uint8_t *outputs = malloc(out_size);
    uint8_t *stepped = malloc(u->output_bytes);
    if (inputs == NULL || outputs == NULL || stepped == NULL || fread(inputs, 1, in_size, stdin) != in_size) {
        fprintf(stderr, "bad request\n");
        exit(2);
    }
    unit_run(index, inputs, count, outputs);
    for (uint32_t i = 0; i < count; i++) {
        run_steps(u, inputs + (size_t)i * u->input_bytes, stepped);
        if (memcmp(stepped, outputs + (size_t)i * u->output_bytes, u->output_bytes) != 0) {
            fprintf(stderr, "input %u: the steps one by one give another output than model_invoke()\n", (unsigned)i);
            exit(2);
        }
    }
    fwrite(outputs, 1, out_size, stdout);
    fflush(stdout);
    free(inputs);
    free(outputs);
    free(stepped);
}

int main(void) {
    uint32_t request[2];
    while (fread(request, sizeof request, 1, stdin) == 1) {
        if (request[0] >= unit_count) {
            fprintf(stderr, "no model %u\n", (unsigned)request[0]);
            return 2;
        }
        serve(request[0], request[1]);
    }
    return 0;
}
