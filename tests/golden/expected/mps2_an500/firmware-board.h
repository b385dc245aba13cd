/* Arm MPS2+ AN500 (Cortex-M7) (MPS2-AN500, Cortex-M7): the facts of boards/mps2_an500.toml
 * that firmware needs, and waiting for interrupts. Frequencies in Hz, sizes in bytes.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

#define BOARD_NAME "mps2_an500"
#define BOARD_TITLE "Arm MPS2+ AN500 (Cortex-M7)"
#define BOARD_CORE_HZ 25000000u
#define BOARD_HAS_FPU 1
#define BOARD_HAS_CACHES 1
/* Armv7-M and later have configurable fault handlers and their status registers; Armv6-M has not. */
#define BOARD_HAS_FAULT_STATUS 1
/* Cortex-M7: DWT registers are behind a lock. */
#define BOARD_HAS_DWT_LOCK 1
/* Armv8-M Mainline: a stack limit register that faults before the stack overflows. */
#define BOARD_HAS_STACK_LIMIT 0
/* SysTick counts cycles where there is no DWT, and its interrupt counts the wraps. */
#define BOARD_COUNTS_WITH_SYSTICK 0
#define BOARD_FLASH_ORIGIN 0x00000000u
#define BOARD_FLASH_BYTES 4194304u
#define BOARD_RAM_ORIGIN 0x20000000u
#define BOARD_RAM_BYTES 4194304u
#define BOARD_STACK_BYTES 8192u
#define BOARD_IRQ_COUNT 32
/* CPUID, CCR, CPACR, and the registers of the flash and of its cache; 0 where there is none. */
#define BOARD_STATE_REGISTERS 0xE000ED00u, 0xE000ED14u, 0xE000ED88u, 0u, 0u

/* Clock tree, mps */
#define BOARD_CLOCK_SYSCLK_HZ 25000000u
#define BOARD_CLOCK_FLASH_WAIT_STATES 0u
#define BOARD_CLOCK_SOURCE_FIXED 1

/* UART0; kernel clock PCLK */
#define BOARD_UART_BASE 0x40004000u
#define BOARD_UART_IRQ 0
#define BOARD_UART_TX_IRQ 1
#define BOARD_UART_CLOCK_HZ 25000000u
#define BOARD_UART_BAUD 115200u
#define BOARD_UART_DIVIDER 217u
#define BOARD_UART_FAST_BAUD 115200u
#define BOARD_UART_FAST_DIVIDER 217u

/* The vectors of the interrupts, for the table in startup.c; no other is in use. */
#define BOARD_INTERRUPT_VECTORS(unused, uart) \
    [16 + 0] = {.handler = uart}, \
    [16 + 1] = {.handler = uart}, \
    [16 + 2 ... 16 + 31] = {.handler = unused},

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
