/* The PrimeCell UART PL011 of the RP2040 and RP2350, with its FIFOs on: 32 bytes each way.
 *
 * Arm DDI 0183 "PrimeCell UART (PL011) Technical Reference Manual"; RP2040 data sheet "UART". The
 * transmit interrupt comes when the FIFO has run down to a quarter, so that the first bytes are put
 * in without it; the receive interrupts come at an eighth and, for a rest, after 32 bit times of
 * silence. What each function promises stands in uart.c.
 */
#ifndef UART_HW_H
#define UART_HW_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "mmio.h"
#include "pins.h"

#define UARTDR (BOARD_UART_BASE + 0x00u)
#define UARTFR (BOARD_UART_BASE + 0x18u)
#define UARTFR_BUSY (1u << 3)
#define UARTFR_RXFE (1u << 4)
#define UARTFR_TXFF (1u << 5)
#define UARTIBRD (BOARD_UART_BASE + 0x24u)
#define UARTFBRD (BOARD_UART_BASE + 0x28u)
#define UARTLCR_H (BOARD_UART_BASE + 0x2Cu)
#define UARTLCR_H_FEN (1u << 4)
#define UARTLCR_H_8BITS (3u << 5)
#define UARTCR (BOARD_UART_BASE + 0x30u)
#define UARTCR_UARTEN (1u << 0)
#define UARTCR_TXE (1u << 8)
#define UARTCR_RXE (1u << 9)
#define UARTIFLS (BOARD_UART_BASE + 0x34u)
#define UARTIFLS_TX_QUARTER_RX_EIGHTH 1u
#define UARTIMSC (BOARD_UART_BASE + 0x38u)
#define UARTRIS (BOARD_UART_BASE + 0x3Cu)
#define UARTICR (BOARD_UART_BASE + 0x44u)
#define UART_INT_RX (1u << 4)
#define UART_INT_TX (1u << 5)
#define UART_INT_RT (1u << 6)
#define UART_INT_OE (1u << 10)

#define NVIC_ISPR(irq) (0xE000E200u + 4u * ((irq) / 32u))

static void uart_hw_set_divider(uint32_t divider) {
    MMIO32(UARTCR) = 0;
    MMIO32(UARTIBRD) = divider >> 6;
    MMIO32(UARTFBRD) = divider & 63u;
    MMIO32(UARTLCR_H) = UARTLCR_H_8BITS | UARTLCR_H_FEN; /* this write takes the divider over */
    MMIO32(UARTCR) = UARTCR_UARTEN | UARTCR_TXE | UARTCR_RXE;
}

static void uart_hw_set_up(void) {
    mmio_clear(BOARD_UART_ENABLE_REGISTER, 1u << BOARD_UART_ENABLE_BIT);
    mmio_wait(BOARD_UART_ENABLE_REGISTER + 8u, 1u << BOARD_UART_ENABLE_BIT,
              1u << BOARD_UART_ENABLE_BIT); /* RESET_DONE */
    MMIO32(UARTIMSC) = 0;
    MMIO32(UARTIFLS) = UARTIFLS_TX_QUARTER_RX_EIGHTH;
    uart_hw_set_divider(BOARD_UART_DIVIDER);
    pins_connect_uart();
}

static void uart_hw_listen(void) {
    MMIO32(UARTIMSC) = UART_INT_RX | UART_INT_RT | UART_INT_TX | UART_INT_OE;
}

/* The FIFO interrupts only on its way down: the first bytes go in from a pending interrupt. */
static void uart_hw_request_transmit(void) {
    MMIO32(NVIC_ISPR(BOARD_UART_IRQ)) = 1u << (BOARD_UART_IRQ % 32u);
}

static void uart_hw_end_transmit(void) {
    MMIO32(UARTICR) = UART_INT_TX;
}

static void uart_hw_silence(void) {
    MMIO32(UARTIMSC) = 0;
}

static bool uart_hw_begin_interrupt(void) {
    const bool lost = (MMIO32(UARTRIS) & UART_INT_OE) != 0;
    MMIO32(UARTICR) = UART_INT_OE | UART_INT_RT;
    return lost;
}

static bool uart_hw_receive(uint8_t *byte) {
    if ((MMIO32(UARTFR) & UARTFR_RXFE) != 0) {
        return false;
    }
    *byte = (uint8_t)MMIO32(UARTDR); /* a framing error's bits are dropped: the checksum judges */
    return true;
}

static bool uart_hw_can_send(void) {
    return (MMIO32(UARTFR) & UARTFR_TXFF) == 0;
}

static void uart_hw_send(uint8_t byte) {
    MMIO32(UARTDR) = byte;
}

static bool uart_hw_all_sent(void) {
    return (MMIO32(UARTFR) & UARTFR_BUSY) == 0;
}

#endif
