/* What the USARTs of all STM32 families share, and LPUART: the bits of the status register and of
 * CR1 lie in the same places. Included by the driver of a family, which says where the registers
 * are: USART_CR1, USART_CR2, USART_CR3, USART_BRR, USART_STATUS, USART_RECEIVED, USART_TO_SEND, and
 * USART_CR1_UE. What each function promises stands in uart.c.
 */
#ifndef UART_STM32_USART_H
#define UART_STM32_USART_H

#include "mmio.h"
#include "pins.h"

#define USART_STATUS_ORE (1u << 3)
#define USART_STATUS_RXNE (1u << 5)
#define USART_STATUS_TC (1u << 6)
#define USART_STATUS_TXE (1u << 7)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_TXEIE (1u << 7)

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

static void uart_hw_set_divider(uint32_t divider) {
    mmio_clear(USART_CR1, USART_CR1_UE);
    MMIO32(USART_BRR) = divider;
    mmio_set(USART_CR1, USART_CR1_UE);
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

static bool uart_hw_receive(uint8_t *byte) {
    if ((MMIO32(USART_STATUS) & USART_STATUS_RXNE) == 0) {
        return false;
    }
    *byte = (uint8_t)MMIO32(USART_RECEIVED);
    return true;
}

static bool uart_hw_can_send(void) {
    return (MMIO32(USART_STATUS) & USART_STATUS_TXE) != 0;
}

static void uart_hw_send(uint8_t byte) {
    MMIO32(USART_TO_SEND) = byte;
}

static bool uart_hw_all_sent(void) {
    return (MMIO32(USART_STATUS) & USART_STATUS_TC) != 0;
}

#endif
