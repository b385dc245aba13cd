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

#define USART_CR1 (BOARD_UART_BASE + 0x00u)
#define USART_CR1_UE (1u << 0)
#define USART_CR2 (BOARD_UART_BASE + 0x04u)
#define USART_CR3 (BOARD_UART_BASE + 0x08u)
#define USART_BRR (BOARD_UART_BASE + 0x0Cu)
#define USART_STATUS (BOARD_UART_BASE + 0x1Cu) /* USART_ISR */
#define USART_ERRORS 0xFu /* PE, FE, NF, ORE: the same bits clear them in ICR */
#define USART_ICR (BOARD_UART_BASE + 0x20u)
#define USART_RECEIVED (BOARD_UART_BASE + 0x24u) /* USART_RDR */
#define USART_TO_SEND (BOARD_UART_BASE + 0x28u)  /* USART_TDR */

#include "uart_stm32_usart.h"

static bool uart_hw_begin_interrupt(void) {
    /* A byte with a framing or noise error is kept: the link's checksum judges it. */
    const uint32_t errors = MMIO32(USART_STATUS) & USART_ERRORS;
    MMIO32(USART_ICR) = errors;
    return (errors & USART_STATUS_ORE) != 0;
}

#endif
