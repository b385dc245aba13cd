/* The UART of the board's virtual COM port: 8 data bits, no parity, 1 stop bit, at first
 * BOARD_UART_BAUD.
 *
 * Interrupt driven in both directions, so that nothing is lost while the CPU computes. One reader
 * and one writer, both outside interrupts.
 */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Powers of two. One byte of each is never used. */
#ifndef UART_RX_RING_BYTES
#define UART_RX_RING_BYTES 2048u
#endif
#ifndef UART_TX_RING_BYTES
#define UART_TX_RING_BYTES 512u
#endif

/* Sets up pins, baud rate and interrupt. Clocks must run as board.h says (clock_init). */
void uart_init(void);

/* Takes up to `max` received bytes into `out` and returns how many; never waits. */
size_t uart_read(uint8_t *out, size_t max);

/* Queues `size` bytes; sleeps only while the ring is full. */
void uart_write(const uint8_t *data, size_t size);

/* Returns when everything queued is on the wire. */
void uart_flush(void);

/* Goes on at BOARD_UART_BAUD or BOARD_UART_FAST_BAUD when everything queued is on the wire. */
void uart_set_baud(uint32_t baud);

/* True once after received bytes were lost. */
bool uart_overrun(void);

/* Sends without interrupts, bytes that are still queued first, and turns the interrupt off for
 * good; for fault reports. */
void uart_write_polled(const uint8_t *data, size_t size);

/* In the vector table. */
void uart_irq_handler(void);

#endif
