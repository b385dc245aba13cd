/* The L1 caches of the Cortex-M7: after reset their contents are undefined, so both are
 * invalidated before they are turned on (Armv7-M Architecture Reference Manual, B2.2 "Caches and
 * branch predictors"; Cortex-M7 Devices Generic User Guide, "Cache maintenance operations").
 */
#include "cache.h"

#include "board.h"
#include "mmio.h"

#if BOARD_HAS_CACHES

#define SCB_CCR 0xE000ED14u
#define SCB_CCR_DC (1u << 16)
#define SCB_CCR_IC (1u << 17)
#define SCB_CCSIDR 0xE000ED80u
#define SCB_CSSELR 0xE000ED84u
#define SCB_ICIALLU 0xE000EF50u
#define SCB_DCISW 0xE000EF60u

/* Every line of the level-1 data cache, by set and way: the sizes are read from CCSIDR. */
static void invalidate_data_cache(void) {
    MMIO32(SCB_CSSELR) = 0; /* level 1, data */
    cpu_dsb();
    const uint32_t ccsidr = MMIO32(SCB_CCSIDR);
    const uint32_t set_shift = (ccsidr & 7u) + 4u; /* log2 of the line size in bytes */
    const uint32_t last_set = (ccsidr >> 13) & 0x7FFFu;
    const uint32_t last_way = (ccsidr >> 3) & 0x3FFu;
    /* The way lies in the top bits, as many as the last way needs. */
    const uint32_t way_shift = last_way == 0 ? 0 : (uint32_t)__builtin_clz(last_way);
    for (uint32_t set = 0; set <= last_set; set++) {
        for (uint32_t way = 0; way <= last_way; way++) {
            MMIO32(SCB_DCISW) = (way << way_shift) | (set << set_shift);
        }
    }
    cpu_dsb();
}

void cache_enable(void) {
    cpu_dsb();
    cpu_isb();
    MMIO32(SCB_ICIALLU) = 0;
    cpu_dsb();
    cpu_isb();
    mmio_set(SCB_CCR, SCB_CCR_IC);
    cpu_dsb();
    cpu_isb();
    /* A debugger may have started the program with the data cache on: its dirty lines are data. */
    if ((MMIO32(SCB_CCR) & SCB_CCR_DC) == 0) {
        invalidate_data_cache();
        mmio_set(SCB_CCR, SCB_CCR_DC);
        cpu_dsb();
        cpu_isb();
    }
}

#else

void cache_enable(void) {
}

#endif
