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

#define USART_STATUS (BOARD_UART_BASE + 0x00u)   /* USART_SR */
#define USART_RECEIVED (BOARD_UART_BASE + 0x04u) /* USART_DR, both ways */
#define USART_TO_SEND USART_RECEIVED
#define USART_BRR (BOARD_UART_BASE + 0x08u)
#define USART_CR1 (BOARD_UART_BASE + 0x0Cu)
#define USART_CR1_UE (1u << 13)
#define USART_CR2 (BOARD_UART_BASE + 0x10u)
#define USART_CR3 (BOARD_UART_BASE + 0x14u)

#include "uart_stm32_usart.h"

static bool uart_hw_begin_interrupt(void) {
    /* A byte with a framing or noise error is kept: the link's checksum judges it. */
    const uint32_t status = MMIO32(USART_STATUS);
    if ((status & USART_STATUS_ORE) == 0) {
        return false;
    }
    if ((status & USART_STATUS_RXNE) == 0) {
        (void)MMIO32(USART_RECEIVED); /* after SR this clears ORE; with a byte to read, that does */
    }
    return true;
}

#endif
