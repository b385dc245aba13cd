"""A small firmware project for tests of start-up, drivers and build: an echo, and a "model" that uses the FPU."""

from __future__ import annotations

MAIN_C = """\
#include "board.h"
#include "cycles.h"
#include "model.h"
#include "stack.h"
#include "uart.h"

int main(void) {
    uart_init();
    cycles_init();
    static const char banner[] = "hello from " BOARD_NAME "\\r\\n";
    uart_write((const uint8_t *)banner, sizeof banner - 1);
    for (;;) {
        uint8_t data[16];
        const size_t size = uart_read(data, sizeof data);
        if (size == 0) {
            board_wait_for_event();
        } else {
            stack_repaint();
            const uint32_t start = cycles_now();
            model_invoke(data, size);
            const uint32_t cycles = cycles_now() - start + stack_high_water_bytes();
            uart_write(data, size);
            uart_write((const uint8_t *)&cycles, uart_overrun() ? 1 : sizeof cycles);
            uart_flush();
        }
    }
}
"""

MODEL_H = """\
#include <stddef.h>
#include <stdint.h>

void model_invoke(uint8_t *data, size_t size);
"""

# Float arithmetic, division and conversions in every direction: soft-float calls if the FPU is not used. Constants,
# a variable with a first value and a buffer: something in each section.
MODEL_C = """\
#include "model.h"

const float model_table[64] = {1.5f, 2.5f, 3.5f};
uint32_t model_count = 7;
uint8_t model_arena[5000];

void model_invoke(uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        const float scaled = (float)data[i] * model_table[i % 64] / (model_table[data[i] % 64] + 1.0f);
        model_count += (uint32_t)scaled + (uint32_t)(int32_t)(scaled - 100.0f);
        model_arena[model_count % sizeof model_arena]++;
        data[i] = model_arena[i];
    }
}
"""

SOURCES: dict[str, str | bytes] = {
    "firmware/main.c": MAIN_C,
    "firmware/link.c": "/* no link */\ntypedef int no_link_t;\n",
    **{f"firmware/mlperf{part}.c": "/* no benchmark */\ntypedef int no_t;\n" for part in ("", "_encoding", "_text")},
    "model/model.c": MODEL_C,
    "model/model.h": MODEL_H,
}
