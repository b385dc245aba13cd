/*
 * QEMU's side of unit.h, for a machine without a console: requests are read from the file requests.bin of the host's
 * current folder and outputs written to outputs.bin, both by semihosting (Arm's "Semihosting for AArch32 and AArch64").
 *
 * A request is a model's number, how many inputs follow, and whether all of the arena is wanted after each step, instead of
 * the outputs. Every input runs twice. model_invoke() first; then step by step, where a step must leave every byte of the
 * arena as it was but those that its operator may touch. Both must give the same output. The exit status is 0; 2 if a
 * request makes no sense, 3 if a step wrote outside its buffers, 4 if the outputs differ.
 */
#include "unit.h"

enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { READ_BINARY = 1, WRITE_BINARY = 5, APPLICATION_EXIT = 0x20026 };
enum { ROOM = 16 << 20 };

extern uint32_t __stack_top[];
void Reset_Handler(void);
__attribute__((noreturn, used)) void start(void);

__attribute__((section(".vectors"), used)) void *const vectors[16] = {__stack_top, (void *)Reset_Handler};

/* Coprocessors 10 and 11, the floating-point unit and MVE, are off after reset. */
__attribute__((naked)) void Reset_Handler(void) {
    __asm volatile("ldr r0, =0xE000ED88\n"
                   "ldr r1, =0x00F00000\n"
                   "str r1, [r0]\n"
                   "dsb\n"
                   "isb\n"
                   "b start\n");
}

static uint8_t inputs[ROOM], outputs[ROOM], stepped[ROOM], before[ROOM];

static uintptr_t semihost(uint32_t operation, const uintptr_t *block) {
    register uintptr_t r0 __asm__("r0") = operation;
    register const uintptr_t *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

__attribute__((noreturn)) static void finish(uint32_t status) {
    const uintptr_t block[] = {APPLICATION_EXIT, status};
    for (;;) {
        semihost(SYS_EXIT_EXTENDED, block);
    }
}

static uintptr_t open(const char *name, uintptr_t length, uintptr_t mode) {
    const uintptr_t block[] = {(uintptr_t)name, mode, length};
    return semihost(SYS_OPEN, block);
}

/* Both return how many of the bytes were left over. */
static uint32_t read(uintptr_t file, void *bytes, uint32_t size) {
    const uintptr_t block[] = {file, (uintptr_t)bytes, size};
    return semihost(SYS_READ, block);
}

static uint32_t write(uintptr_t file, const void *bytes, uint32_t size) {
    const uintptr_t block[] = {file, (uintptr_t)bytes, size};
    return semihost(SYS_WRITE, block);
}

static int may_touch(const unit *u, uint32_t step, uint32_t at) {
    for (uint32_t i = 0; i < u->region_count; i++) {
        const unit_region *region = &u->regions[i];
        if (region->step == step && at >= region->offset && at - region->offset < region->size) {
            return 1;
        }
    }
    return 0;
}

/* `arenas` is a file, or 0. */
static void run_steps(const unit *u, const uint8_t *input, uint8_t *output, uintptr_t arenas) {
    uint8_t *arena = u->arena();
    __builtin_memset(arena, 0xA5, u->arena_bytes);
    if (u->set_input != 0) {
        u->set_input(input);
    } else {
        __builtin_memcpy(arena + u->input_offset, input, u->input_bytes);
    }
    for (uint32_t step = 0; step < u->step_count; step++) {
        __builtin_memcpy(before, arena, u->arena_bytes);
        u->run_step(step);
        for (uint32_t i = 0; i < u->arena_bytes; i++) {
            if (arena[i] != before[i] && !may_touch(u, step, i)) {
                finish(3);
            }
        }
        if (arenas != 0) {
            write(arenas, arena, u->arena_bytes);
        }
    }
    __builtin_memcpy(output, arena + u->output_offset, u->output_bytes);
}

static void serve(uintptr_t from, uintptr_t to, const uint32_t *request) {
    const unit *u = units[request[0]];
    const uint32_t count = request[1], every = request[2];
    const uint32_t in_bytes = count * u->input_bytes, out_bytes = count * u->output_bytes;
    if (in_bytes > ROOM || out_bytes > ROOM || u->arena_bytes > ROOM || read(from, inputs, in_bytes) != 0) {
        finish(2);
    }
    unit_run(request[0], inputs, count, outputs);
    for (uint32_t i = 0; i < count; i++) {
        run_steps(u, inputs + i * u->input_bytes, stepped + i * u->output_bytes, every ? to : 0);
    }
    if (__builtin_memcmp(outputs, stepped, out_bytes) != 0) {
        finish(4);
    }
    if (!every) {
        write(to, outputs, out_bytes);
    }
}

void start(void) {
    static const char requests_name[] = "requests.bin", outputs_name[] = "outputs.bin";
    const uintptr_t from = open(requests_name, sizeof requests_name - 1, READ_BINARY);
    const uintptr_t to = open(outputs_name, sizeof outputs_name - 1, WRITE_BINARY);
    uint32_t request[3];
    while (read(from, request, sizeof request) == 0) {
        if (request[0] >= unit_count) {
            finish(2);
        }
        serve(from, to, request);
    }
    finish(0);
}
