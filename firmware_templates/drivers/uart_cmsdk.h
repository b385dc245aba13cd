/* The APB UART of Arm's Cortex-M System Design Kit: one byte of buffer each way, an interrupt of
 * its own for each. The transmit interrupt comes when a byte has left the buffer.
 *
 * Arm DDI 0479 "Cortex-M System Design Kit Technical Reference Manual", "APB UART". What each
 * function promises stands in uart.c.
 */
#ifndef UART_HW_H
#define UART_HW_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "mmio.h"
#include "pins.h"

#define UART_DATA (BOARD_UART_BASE + 0x00u)
#define UART_STATE (BOARD_UART_BASE + 0x04u)
#define UART_STATE_TX_FULL (1u << 0)
#define UART_STATE_RX_FULL (1u << 1)
#define UART_STATE_RX_OVERRUN (1u << 3)
#define UART_CTRL (BOARD_UART_BASE + 0x08u)
#define UART_CTRL_TX (1u << 0)
#define UART_CTRL_RX (1u << 1)
#define UART_CTRL_TX_INTERRUPT (1u << 2)
#define UART_CTRL_RX_INTERRUPT (1u << 3)
#define UART_INTCLEAR (BOARD_UART_BASE + 0x0Cu)
#define UART_INTCLEAR_TX (1u << 0)
#define UART_INTCLEAR_RX (1u << 1)
#define UART_BAUDDIV (BOARD_UART_BASE + 0x10u)

#define NVIC_ISPR(irq) (0xE000E200u + 4u * ((irq) / 32u))

static void uart_hw_set_up(void) {
    MMIO32(UART_CTRL) = 0;
    MMIO32(UART_BAUDDIV) = BOARD_UART_DIVIDER;
    pins_connect_uart();
    MMIO32(UART_CTRL) = UART_CTRL_TX | UART_CTRL_RX;
}

static void uart_hw_set_divider(uint32_t divider) {
    MMIO32(UART_BAUDDIV) = divider;
}

static void uart_hw_listen(void) {
    mmio_set(UART_CTRL, UART_CTRL_RX_INTERRUPT | UART_CTRL_TX_INTERRUPT);
}

/* There is no interrupt before the first byte: it is made pending. */
static void uart_hw_request_transmit(void) {
    MMIO32(NVIC_ISPR(BOARD_UART_TX_IRQ)) = 1u << (BOARD_UART_TX_IRQ % 32u);
}

static void uart_hw_end_transmit(void) {
}

static void uart_hw_silence(void) {
    mmio_clear(UART_CTRL, UART_CTRL_RX_INTERRUPT | UART_CTRL_TX_INTERRUPT);
    MMIO32(UART_INTCLEAR) = UART_INTCLEAR_TX | UART_INTCLEAR_RX;
}

static bool uart_hw_begin_interrupt(void) {
    MMIO32(UART_INTCLEAR) = UART_INTCLEAR_TX | UART_INTCLEAR_RX;
    const bool lost = (MMIO32(UART_STATE) & UART_STATE_RX_OVERRUN) != 0;
    if (lost) {
        MMIO32(UART_STATE) = UART_STATE_RX_OVERRUN;
    }
    return lost;
}

static bool uart_hw_receive(uint8_t *byte) {
    if ((MMIO32(UART_STATE) & UART_STATE_RX_FULL) == 0) {
        return false;
    }
    *byte = (uint8_t)MMIO32(UART_DATA);
    return true;
}

static bool uart_hw_can_send(void) {
    return (MMIO32(UART_STATE) & UART_STATE_TX_FULL) == 0;
}

static void uart_hw_send(uint8_t byte) {
    MMIO32(UART_DATA) = byte;
}

/* The last byte may still be in the shift register, which nothing tells. */
static bool uart_hw_all_sent(void) {
    return uart_hw_can_send();
}

#endif
