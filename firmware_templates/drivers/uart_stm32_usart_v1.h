/* The USART of the STM32F1/F2/F4/L1: one status and one data register, flags cleared by reading
 * both.
 *
 * RM0090 "Universal synchronous asynchronous receiver transmitter (USART)". What each function
 * promises stands in uart.c.
 */
#ifndef UART_HW_H
#define UART_HW_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "mmio.h"
#include "pins.h"

#define USART_SR (BOARD_UART_BASE + 0x00u)
#define USART_SR_ORE (1u << 3)
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TC (1u << 6)
#define USART_SR_TXE (1u << 7)
#define USART_DR (BOARD_UART_BASE + 0x04u)
#define USART_BRR (BOARD_UART_BASE + 0x08u)
#define USART_CR1 (BOARD_UART_BASE + 0x0Cu)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_TXEIE (1u << 7)
#define USART_CR1_UE (1u << 13)
#define USART_CR2 (BOARD_UART_BASE + 0x10u)
#define USART_CR3 (BOARD_UART_BASE + 0x14u)

static void uart_hw_set_up(void) {
    mmio_set(BOARD_UART_ENABLE_REGISTER, 1u << BOARD_UART_ENABLE_BIT);
    (void)MMIO32(BOARD_UART_ENABLE_REGISTER);
    (void)MMIO32(BOARD_UART_ENABLE_REGISTER);
    MMIO32(USART_CR1) = 0; /* off while the frame format changes */
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
    const uint32_t status = MMIO32(USART_SR);
    if ((status & USART_SR_ORE) == 0) {
        return false;
    }
    if ((status & USART_SR_RXNE) == 0) {
        (void)MMIO32(USART_DR); /* after SR this clears ORE; with a byte to read, that read does */
    }
    return true;
}

static bool uart_hw_receive(uint8_t *byte) {
    if ((MMIO32(USART_SR) & USART_SR_RXNE) == 0) {
        return false;
    }
    *byte = (uint8_t)MMIO32(USART_DR);
    return true;
}

static bool uart_hw_can_send(void) {
    return (MMIO32(USART_SR) & USART_SR_TXE) != 0;
}

static void uart_hw_send(uint8_t byte) {
    MMIO32(USART_DR) = byte;
}

static bool uart_hw_all_sent(void) {
    return (MMIO32(USART_SR) & USART_SR_TC) != 0;
}

#endif
