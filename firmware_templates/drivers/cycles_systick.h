/* Cycles counted by SysTick, for cores without DWT: 24 bits that count down, and an interrupt that
 * counts the wraps. It does not count while the core sleeps deeply, which this firmware never does.
 */
#ifndef CYCLES_H
#define CYCLES_H

#include <stdint.h>

/* Starts the counter at zero. */
void cycles_init(void);

/* Cycles since cycles_init, modulo 2^32; differences of two readings are right across one wrap of
 * that. Interrupts must be enabled. */
uint32_t cycles_now(void);

/* In the vector table. */
void cycles_systick_handler(void);

#endif
