/* The clock tree of board.h: clock_init brings the core to BOARD_CORE_HZ from any state. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>

/* Call once, after .data and .bss are set up and before any peripheral. */
void clock_init(void);

/* True when the external oscillator did not start and an internal one runs in its place, at the
 * same frequencies but less exact. */
bool clock_on_fallback(void);

#endif
