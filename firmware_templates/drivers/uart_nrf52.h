/* The UART of the nRF52 without EasyDMA: every byte is an event. It has six bytes of FIFO for what
 * comes in, and an event is cleared before what it announces is taken.
 *
 * nRF52840 Product Specification "UART - Universal asynchronous receiver/transmitter". What each
 * function promises stands in uart.c.
 */
#ifndef UART_HW_H
#define UART_HW_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "mmio.h"
#include "pins.h"

#define UART_TASKS_STARTRX (BOARD_UART_BASE + 0x000u)
#define UART_TASKS_STARTTX (BOARD_UART_BASE + 0x008u)
#define UART_EVENTS_RXDRDY (BOARD_UART_BASE + 0x108u)
#define UART_EVENTS_TXDRDY (BOARD_UART_BASE + 0x11Cu)
#define UART_EVENTS_ERROR (BOARD_UART_BASE + 0x124u)
#define UART_INTENSET (BOARD_UART_BASE + 0x304u)
#define UART_INTENCLR (BOARD_UART_BASE + 0x308u)
#define UART_INT_RXDRDY (1u << 2)
#define UART_INT_TXDRDY (1u << 7)
#define UART_INT_ERROR (1u << 9)
#define UART_ERRORSRC (BOARD_UART_BASE + 0x480u)
#define UART_ERRORSRC_OVERRUN (1u << 0)
#define UART_ENABLE (BOARD_UART_BASE + 0x500u)
#define UART_ENABLE_ON 4u
#define UART_PSEL_TXD (BOARD_UART_BASE + 0x50Cu)
#define UART_PSEL_RXD (BOARD_UART_BASE + 0x514u)
#define UART_RXD (BOARD_UART_BASE + 0x518u)
#define UART_TXD (BOARD_UART_BASE + 0x51Cu)
#define UART_BAUDRATE (BOARD_UART_BASE + 0x524u)
#define UART_CONFIG (BOARD_UART_BASE + 0x56Cu)

#define NVIC_ISPR(irq) (0xE000E200u + 4u * ((irq) / 32u))

/* A byte is on its way out: TXD may be written again only after TXDRDY. */
static volatile bool uart_hw_busy;

/* Reading back waits for the write, or the interrupt comes again. */
static void uart_hw_clear_event(uint32_t event) {
    MMIO32(event) = 0;
    (void)MMIO32(event);
}

static void uart_hw_set_up(void) {
    MMIO32(UART_ENABLE) = 0; /* pins may be chosen only while it is off */
    pins_connect_uart();
    MMIO32(UART_PSEL_TXD) = (BOARD_UART_TX_PORT << 5) | BOARD_UART_TX_PIN;
    MMIO32(UART_PSEL_RXD) = (BOARD_UART_RX_PORT << 5) | BOARD_UART_RX_PIN;
    MMIO32(UART_BAUDRATE) = BOARD_UART_DIVIDER;
    MMIO32(UART_CONFIG) = 0;
    MMIO32(UART_INTENCLR) = 0xFFFFFFFFu;
    uart_hw_clear_event(UART_EVENTS_RXDRDY);
    uart_hw_clear_event(UART_EVENTS_TXDRDY);
    uart_hw_clear_event(UART_EVENTS_ERROR);
    MMIO32(UART_ENABLE) = UART_ENABLE_ON;
    MMIO32(UART_TASKS_STARTTX) = 1;
    MMIO32(UART_TASKS_STARTRX) = 1;
}

static void uart_hw_set_divider(uint32_t divider) {
    MMIO32(UART_BAUDRATE) = divider;
}

static void uart_hw_listen(void) {
    MMIO32(UART_INTENSET) = UART_INT_RXDRDY | UART_INT_TXDRDY | UART_INT_ERROR;
}

/* There is no event before the first byte: the interrupt is made pending. */
static void uart_hw_request_transmit(void) {
    MMIO32(NVIC_ISPR(BOARD_UART_IRQ)) = 1u << (BOARD_UART_IRQ % 32u);
}

static bool uart_hw_can_send(void) {
    if (MMIO32(UART_EVENTS_TXDRDY) != 0) {
        uart_hw_clear_event(UART_EVENTS_TXDRDY);
        uart_hw_busy = false;
    }
    return !uart_hw_busy;
}

static void uart_hw_end_transmit(void) {
    (void)uart_hw_can_send(); /* takes the event of the last byte */
}

static void uart_hw_silence(void) {
    MMIO32(UART_INTENCLR) = UART_INT_RXDRDY | UART_INT_TXDRDY | UART_INT_ERROR;
}

static bool uart_hw_begin_interrupt(void) {
    if (MMIO32(UART_EVENTS_ERROR) == 0) {
        return false;
    }
    /* A byte with a framing error is kept: the link's checksum judges it. */
    uart_hw_clear_event(UART_EVENTS_ERROR);
    const uint32_t errors = MMIO32(UART_ERRORSRC);
    MMIO32(UART_ERRORSRC) = errors;
    return (errors & UART_ERRORSRC_OVERRUN) != 0;
}

static bool uart_hw_receive(uint8_t *byte) {
    if (MMIO32(UART_EVENTS_RXDRDY) == 0) {
        return false;
    }
    uart_hw_clear_event(UART_EVENTS_RXDRDY);
    *byte = (uint8_t)MMIO32(UART_RXD);
    return true;
}

static void uart_hw_send(uint8_t byte) {
    uart_hw_busy = true;
    MMIO32(UART_TXD) = byte;
}

static bool uart_hw_all_sent(void) {
    return !uart_hw_busy || MMIO32(UART_EVENTS_TXDRDY) != 0;
}

#endif
