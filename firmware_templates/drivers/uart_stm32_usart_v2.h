/* The USART of the STM32F0/F3/F7/H7/L4/L4+/U5 and others, and LPUART, whose registers and bits lie
 * in the same places; only BRR counts differently, and board.h has its value. The FIFO that some
 * parts have stays off.
 *
 * RM0385 "Universal synchronous asynchronous receiver transmitter (USART)", RM0432 the same and
 * "Low-power universal asynchronous receiver transmitter (LPUART)". What each function promises
 * stands in uart.c.
 */
#ifndef UART_HW_H
#define UART_HW_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "mmio.h"
#include "pins.h"

#define USART_CR1 (BOARD_UART_BASE + 0x00u)
#define USART_CR1_UE (1u << 0)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_TXEIE (1u << 7)
#define USART_CR2 (BOARD_UART_BASE + 0x04u)
#define USART_CR3 (BOARD_UART_BASE + 0x08u)
#define USART_BRR (BOARD_UART_BASE + 0x0Cu)
#define USART_ISR (BOARD_UART_BASE + 0x1Cu)
#define USART_ISR_ERRORS 0xFu /* PE, FE, NF, ORE: the same bits clear them in ICR */
#define USART_ISR_ORE (1u << 3)
#define USART_ISR_RXNE (1u << 5)
#define USART_ISR_TC (1u << 6)
#define USART_ISR_TXE (1u << 7)
#define USART_ICR (BOARD_UART_BASE + 0x20u)
#define USART_RDR (BOARD_UART_BASE + 0x24u)
#define USART_TDR (BOARD_UART_BASE + 0x28u)

static void uart_hw_set_up(void) {
    mmio_set(BOARD_UART_ENABLE_REGISTER, 1u << BOARD_UART_ENABLE_BIT);
    (void)MMIO32(BOARD_UART_ENABLE_REGISTER);
    (void)MMIO32(BOARD_UART_ENABLE_REGISTER);
    MMIO32(USART_CR1) = 0; /* BRR and the frame format may be written only with UE clear */
    MMIO32(USART_CR2) = 0;
    MMIO32(USART_CR3) = 0;
    MMIO32(USART_BRR) = BOARD_UART_DIVIDER;
    /* The transmitter drives its line high before the pin is connected to it. */
    MMIO32(USART_CR1) = USART_CR1_UE;
    mmio_set(USART_CR1, USART_CR1_TE);
    pins_connect_uart();
    mmio_set(USART_CR1, USART_CR1_RE);
}

static void uart_hw_listen(void) {
    mmio_set(USART_CR1, USART_CR1_RXNEIE);
}

static void uart_hw_request_transmit(void) {
    mmio_set(USART_CR1, USART_CR1_TXEIE);
}

static void uart_hw_end_transmit(void) {
    mmio_clear(USART_CR1, USART_CR1_TXEIE);
}

static void uart_hw_silence(void) {
    mmio_clear(USART_CR1, USART_CR1_TXEIE | USART_CR1_RXNEIE);
}

static bool uart_hw_begin_interrupt(void) {
    /* A byte with a framing or noise error is kept: the link's checksum judges it. */
    const uint32_t errors = MMIO32(USART_ISR) & USART_ISR_ERRORS;
    MMIO32(USART_ICR) = errors;
    return (errors & USART_ISR_ORE) != 0;
}

static bool uart_hw_receive(uint8_t *byte) {
    if ((MMIO32(USART_ISR) & USART_ISR_RXNE) == 0) {
        return false;
    }
    *byte = (uint8_t)MMIO32(USART_RDR);
    return true;
}

static bool uart_hw_can_send(void) {
    return (MMIO32(USART_ISR) & USART_ISR_TXE) != 0;
}

static void uart_hw_send(uint8_t byte) {
    MMIO32(USART_TDR) = byte;
}

static bool uart_hw_all_sent(void) {
    return (MMIO32(USART_ISR) & USART_ISR_TC) != 0;
}

#endif
