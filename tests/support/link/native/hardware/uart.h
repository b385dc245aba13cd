/* uart.h on the host: standard input and output. */
#ifndef UART_H
#define UART_H
#include <stddef.h>
#include <stdint.h>
#define UART_RX_RING_BYTES 1024u
void uart_init(void);
size_t uart_read(uint8_t *out, size_t max);
void uart_write(const uint8_t *data, size_t size);
void uart_flush(void);
void uart_set_baud(uint32_t baud);
#endif
