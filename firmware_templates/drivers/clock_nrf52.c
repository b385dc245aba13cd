/* Clock driver of the nRF52840: the high-frequency crystal, and the cache in front of the flash.
 *
 * nRF52840 Product Specification "CLOCK - Clock control" and "NVMC - Non-volatile memory
 * controller". The core runs at 64 MHz from the start; the crystal makes that exact.
 */
#include "clock.h"

#include "board.h"
#include "mmio.h"

#define CLOCK_TASKS_HFCLKSTART 0x40000000u
#define CLOCK_EVENTS_HFCLKSTARTED 0x40000100u
#define NVMC_ICACHECNF 0x4001E540u
#define NVMC_ICACHECNF_CACHEEN (1u << 0)

/* The crystal starts within a millisecond; this is above 10 ms at 64 MHz. */
#define HFXO_ATTEMPTS 100000u

static bool on_fallback;

bool clock_on_fallback(void) {
    return on_fallback;
}

#if BOARD_CLOCK_SOURCE_HFXO
static bool start_crystal(void) {
    MMIO32(CLOCK_EVENTS_HFCLKSTARTED) = 0;
    MMIO32(CLOCK_TASKS_HFCLKSTART) = 1;
    for (uint32_t attempt = 0; attempt < HFXO_ATTEMPTS; attempt++) {
        if (MMIO32(CLOCK_EVENTS_HFCLKSTARTED) != 0) {
            return true;
        }
    }
    return false;
}
#endif

void clock_init(void) {
    mmio_set(NVMC_ICACHECNF, NVMC_ICACHECNF_CACHEEN);
#if BOARD_CLOCK_SOURCE_HFXO
    on_fallback = !start_crystal();
#endif
}
