/* The hardware of main.c on the host: the UART is standard input and output, ended by end of file.
 */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "board.h"
#include "cycles.h"
#include "stack.h"
#include "uart.h"

void uart_init(void) {
}

void uart_flush(void) {
}

void uart_set_baud(uint32_t baud) {
    (void)baud; /* a pseudo-terminal has none */
}

static int readable(int timeout_ms) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, timeout_ms) > 0;
}

size_t uart_read(uint8_t *out, size_t max) {
    if (!readable(0)) {
        return 0;
    }
    const ssize_t count = read(STDIN_FILENO, out, max);
    if (count <= 0) {
        exit(0);
    }
    return (size_t)count;
}

void uart_write(const uint8_t *data, size_t size) {
    while (size > 0) {
        const ssize_t count = write(STDOUT_FILENO, data, size);
        if (count < 0) {
            exit(0);
        }
        data += count;
        size -= (size_t)count;
    }
}

void board_wait_for_event(void) {
    readable(-1);
}

void cycles_init(void) {
}

uint32_t cycles_now(void) {
    static uint32_t cycles;
    return cycles += HOST_CYCLES;
}

static uint32_t high_water_bytes;

void stack_repaint(void) {
    high_water_bytes = 32;
}

uint32_t stack_high_water_bytes(void) {
    const uint32_t bytes = high_water_bytes;
    high_water_bytes = 128;
    return bytes;
}
