/* Arduino Nano 33 BLE (ABX00030) (nRF52840-QIAA, Cortex-M4): the facts of boards/nano_33_ble.toml
 * that firmware needs, and waiting for interrupts. Frequencies in Hz, sizes in bytes.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

#define BOARD_NAME "nano_33_ble"
#define BOARD_TITLE "Arduino Nano 33 BLE (ABX00030)"
#define BOARD_CORE_HZ 64000000u
#define BOARD_HAS_FPU 1
#define BOARD_HAS_CACHES 0
/* Armv7-M and later have configurable fault handlers and their status registers; Armv6-M has not. */
#define BOARD_HAS_FAULT_STATUS 1
/* Cortex-M7: DWT registers are behind a lock. */
#define BOARD_HAS_DWT_LOCK 0
/* Armv8-M Mainline: a stack limit register that faults before the stack overflows. */
#define BOARD_HAS_STACK_LIMIT 0
/* SysTick counts cycles where there is no DWT, and its interrupt counts the wraps. */
#define BOARD_COUNTS_WITH_SYSTICK 0
#define BOARD_FLASH_ORIGIN 0x00000000u
#define BOARD_FLASH_BYTES 1048576u
#define BOARD_RAM_ORIGIN 0x20000000u
#define BOARD_RAM_BYTES 262144u
#define BOARD_STACK_BYTES 8192u
#define BOARD_IRQ_COUNT 48
/* CPUID, CCR, CPACR, and the registers of the flash and of its cache; 0 where there is none. */
#define BOARD_STATE_REGISTERS 0xE000ED00u, 0xE000ED14u, 0xE000ED88u, 0u, 0x4001E540u

/* Clock tree, nrf52 */
#define BOARD_CLOCK_SYSCLK_HZ 64000000u
#define BOARD_CLOCK_FLASH_WAIT_STATES 0u
#define BOARD_CLOCK_SOURCE_HFXO 1

/* UART0 on P1.03 (TX), P1.10 (RX); kernel clock PCLK16M */
#define BOARD_UART_BASE 0x40002000u
#define BOARD_UART_IRQ 2
#define BOARD_UART_TX_IRQ 2
#define BOARD_UART_CLOCK_HZ 16000000u
#define BOARD_UART_BAUD 115200u
#define BOARD_UART_DIVIDER 30924800u
#define BOARD_UART_FAST_BAUD 1000000u
#define BOARD_UART_FAST_DIVIDER 268435456u
#define BOARD_UART_TX_PORT 1u
#define BOARD_UART_TX_PIN 3u
#define BOARD_UART_RX_PORT 1u
#define BOARD_UART_RX_PIN 10u

/* The vectors of the interrupts, for the table in startup.c; no other is in use. */
#define BOARD_INTERRUPT_VECTORS(unused, uart) \
    [16 + 0 ... 16 + 1] = {.handler = unused}, \
    [16 + 2] = {.handler = uart}, \
    [16 + 3 ... 16 + 47] = {.handler = unused},

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
