/* Raspberry Pi Pico (RP2040, Cortex-M0+): the facts of boards/pico.toml
 * that firmware needs, and waiting for interrupts. Frequencies in Hz, sizes in bytes.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

#define BOARD_NAME "pico"
#define BOARD_TITLE "Raspberry Pi Pico"
#define BOARD_CORE_HZ 133000000u
#define BOARD_HAS_FPU 0
#define BOARD_HAS_CACHES 0
/* Armv7-M and later have configurable fault handlers and their status registers; Armv6-M has not. */
#define BOARD_HAS_FAULT_STATUS 0
/* Cortex-M7: DWT registers are behind a lock. */
#define BOARD_HAS_DWT_LOCK 0
/* Armv8-M Mainline: a stack limit register that faults before the stack overflows. */
#define BOARD_HAS_STACK_LIMIT 0
/* SysTick counts cycles where there is no DWT, and its interrupt counts the wraps. */
#define BOARD_COUNTS_WITH_SYSTICK 1
#define BOARD_FLASH_ORIGIN 0x10000000u
#define BOARD_FLASH_BYTES 2097152u
#define BOARD_RAM_ORIGIN 0x20000000u
#define BOARD_RAM_BYTES 270336u
#define BOARD_STACK_BYTES 8192u
#define BOARD_IRQ_COUNT 32
/* CPUID, CCR, CPACR, and the registers of the flash and of its cache; 0 where there is none. */
#define BOARD_STATE_REGISTERS 0xE000ED00u, 0xE000ED14u, 0u, 0u, 0u
#define BOARD_RP2_RESETS 0x4000C000u
#define BOARD_RP2_CLOCKS 0x40008000u
#define BOARD_RP2_XOSC 0x40024000u
#define BOARD_RP2_PLL_SYS 0x40028000u
#define BOARD_RP2_IO_BANK0 0x40014000u
#define BOARD_RP2_PADS_BANK0 0x4001C000u
#define BOARD_RP2_RESET_IO_BANK0 0x00000020u
#define BOARD_RP2_RESET_PADS_BANK0 0x00000100u
#define BOARD_RP2_RESET_PLL_SYS 0x00001000u

/* Clock tree, rp2040 */
#define BOARD_CLOCK_SYSCLK_HZ 133000000u
#define BOARD_CLOCK_FLASH_WAIT_STATES 0u
#define BOARD_CLOCK_SOURCE_XOSC 1
#define BOARD_CLOCK_XOSC_HZ 12000000u
#define BOARD_CLOCK_PLL_REFDIV 1u
#define BOARD_CLOCK_PLL_FBDIV 133u
#define BOARD_CLOCK_PLL_POSTDIV1 6u
#define BOARD_CLOCK_PLL_POSTDIV2 2u
#define BOARD_CLOCK_FLASH_DIVIDER 2u
#define BOARD_CLOCK_XOSC_STARTUP 47u

/* UART0 on GP0 (TX), GP1 (RX); kernel clock CLK_PERI */
#define BOARD_UART_BASE 0x40034000u
#define BOARD_UART_IRQ 20
#define BOARD_UART_TX_IRQ 20
#define BOARD_UART_CLOCK_HZ 133000000u
#define BOARD_UART_BAUD 115200u
#define BOARD_UART_DIVIDER 4618u
#define BOARD_UART_FAST_BAUD 921600u
#define BOARD_UART_FAST_DIVIDER 577u
#define BOARD_UART_ENABLE_REGISTER 0x4000C000u
#define BOARD_UART_ENABLE_BIT 22u
#define BOARD_UART_TX_PIN 0u
#define BOARD_UART_TX_FUNCTION 2u
#define BOARD_UART_RX_PIN 1u
#define BOARD_UART_RX_FUNCTION 2u

/* The vectors of the interrupts, for the table in startup.c; no other is in use. */
#define BOARD_INTERRUPT_VECTORS(unused, uart) \
    [16 + 0 ... 16 + 19] = {.handler = unused}, \
    [16 + 20] = {.handler = uart}, \
    [16 + 21 ... 16 + 31] = {.handler = unused},

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
