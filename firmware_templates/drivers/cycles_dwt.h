/* The core's cycle counter, DWT CYCCNT: 32 bits, counts while the core is not asleep, wraps. */
#ifndef CYCLES_H
#define CYCLES_H

#include <stdint.h>

#include "board.h"
#include "mmio.h"

#define DEMCR 0xE000EDFCu
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL 0xE0001000u
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define DWT_CYCCNT 0xE0001004u
#define DWT_LAR 0xE0001FB0u
#define DWT_LAR_KEY 0xC5ACCE55u

/* Starts the counter at zero. */
static inline void cycles_init(void) {
    mmio_set(DEMCR, DEMCR_TRCENA);
#if BOARD_HAS_DWT_LOCK
    /* Without a debugger the lock is closed after power-on and the writes below would be lost. */
    MMIO32(DWT_LAR) = DWT_LAR_KEY;
#endif
    MMIO32(DWT_CYCCNT) = 0;
    mmio_set(DWT_CTRL, DWT_CTRL_CYCCNTENA);
    cpu_dsb();
}

/* Cycles since cycles_init, modulo 2^32; differences of two readings are right across one wrap. */
static inline uint32_t cycles_now(void) {
    return MMIO32(DWT_CYCCNT);
}

#endif
