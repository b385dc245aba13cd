/* STM32 Nucleo-144 (NUCLEO-U575ZI-Q) (STM32U575ZIT6Q, Cortex-M33): the facts of boards/nucleo_u575zi.toml
 * that firmware needs, and waiting for interrupts. Frequencies in Hz, sizes in bytes.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

#define BOARD_NAME "nucleo_u575zi"
#define BOARD_TITLE "STM32 Nucleo-144 (NUCLEO-U575ZI-Q)"
#define BOARD_CORE_HZ 160000000u
#define BOARD_HAS_FPU 1
#define BOARD_HAS_CACHES 0
/* Armv7-M and later have configurable fault handlers and their status registers; Armv6-M has not. */
#define BOARD_HAS_FAULT_STATUS 1
/* Cortex-M7: DWT registers are behind a lock. */
#define BOARD_HAS_DWT_LOCK 0
/* Armv8-M Mainline: a stack limit register that faults before the stack overflows. */
#define BOARD_HAS_STACK_LIMIT 1
/* SysTick counts cycles where there is no DWT, and its interrupt counts the wraps. */
#define BOARD_COUNTS_WITH_SYSTICK 0
#define BOARD_FLASH_ORIGIN 0x08000000u
#define BOARD_FLASH_BYTES 2097152u
#define BOARD_RAM_ORIGIN 0x20000000u
#define BOARD_RAM_BYTES 786432u
#define BOARD_STACK_BYTES 8192u
#define BOARD_IRQ_COUNT 126
/* CPUID, CCR, CPACR, and the registers of the flash and of its cache; 0 where there is none. */
#define BOARD_STATE_REGISTERS 0xE000ED00u, 0xE000ED14u, 0xE000ED88u, 0x40022000u, 0x40030400u

/* Clock tree, stm32u5 */
#define BOARD_CLOCK_SYSCLK_HZ 160000000u
#define BOARD_CLOCK_FLASH_WAIT_STATES 4u
#define BOARD_CLOCK_SOURCE_HSI 1
#define BOARD_CLOCK_PLL_M 4u
#define BOARD_CLOCK_PLL_N 80u
#define BOARD_CLOCK_PLL_R 2u
#define BOARD_CLOCK_HPRE 0u /* AHB / 1 */
#define BOARD_CLOCK_PPRE1 0u /* APB1 / 1 */
#define BOARD_CLOCK_PPRE2 0u /* APB2 / 1 */
#define BOARD_CLOCK_PPRE3 0u /* APB3 / 1 */
#define BOARD_CLOCK_PLL_RGE 0u
#define BOARD_CLOCK_PLL_MBOOST 0u

/* USART1 on PA9 (TX), PA10 (RX); kernel clock APB2 */
#define BOARD_UART_BASE 0x40013800u
#define BOARD_UART_IRQ 61
#define BOARD_UART_TX_IRQ 61
#define BOARD_UART_CLOCK_HZ 160000000u
#define BOARD_UART_BAUD 115200u
#define BOARD_UART_DIVIDER 1389u
#define BOARD_UART_FAST_BAUD 2000000u
#define BOARD_UART_FAST_DIVIDER 80u
#define BOARD_UART_ENABLE_REGISTER 0x46020CA4u
#define BOARD_UART_ENABLE_BIT 14u
#define BOARD_GPIO_ENABLE_REGISTER 0x46020C8Cu
#define BOARD_UART_TX_GPIO 0x42020000u
#define BOARD_UART_TX_GPIO_ENABLE_BIT 0u
#define BOARD_UART_TX_PIN 9u
#define BOARD_UART_TX_FUNCTION 7u
#define BOARD_UART_RX_GPIO 0x42020000u
#define BOARD_UART_RX_GPIO_ENABLE_BIT 0u
#define BOARD_UART_RX_PIN 10u
#define BOARD_UART_RX_FUNCTION 7u

/* The vectors of the interrupts, for the table in startup.c; no other is in use. */
#define BOARD_INTERRUPT_VECTORS(unused, uart) \
    [16 + 0 ... 16 + 60] = {.handler = unused}, \
    [16 + 61] = {.handler = uart}, \
    [16 + 62 ... 16 + 125] = {.handler = unused},

/* Set by every interrupt handler that has something to tell, cleared by board_wait_for_event. */
extern volatile bool board_event;

/* Sleeps until an interrupt handler has set board_event since the last call. No wake-up is lost:
 * with interrupts masked none can come between the test and WFI, and WFI wakes on a pending one
 * that is masked. May return early: test your condition in a loop around it. */
static inline void board_wait_for_event(void) {
    __asm volatile("cpsid i" ::: "memory");
    if (!board_event) {
        __asm volatile("dsb\n wfi" ::: "memory");
    }
    board_event = false;
    __asm volatile("cpsie i\n isb" ::: "memory");
}

#endif
