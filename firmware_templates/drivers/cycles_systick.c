/* Armv6-M Architecture Reference Manual, B3.3 "The system timer, SysTick". */
#include "cycles.h"

#include "mmio.h"

#define SYST_CSR 0xE000E010u
#define SYST_CSR_ON 7u /* the core's clock, interrupt, counting */
#define SYST_RVR 0xE000E014u
#define SYST_CVR 0xE000E018u
#define TOP 0xFFFFFFu

static volatile uint32_t wraps;

void cycles_systick_handler(void) {
    wraps++;
}

void cycles_init(void) {
    MMIO32(SYST_CSR) = 0;
    MMIO32(SYST_RVR) = TOP;
    MMIO32(SYST_CVR) = 0; /* any write clears it, and it starts from RVR */
    wraps = 0;
    MMIO32(SYST_CSR) = SYST_CSR_ON;
    while (MMIO32(SYST_CVR) == 0) {
    }
}

uint32_t cycles_now(void) {
    uint32_t high, low;
    do {
        high = wraps;
        low = MMIO32(SYST_CVR);
    } while (high != wraps); /* it wrapped meanwhile, and the handler has run */
    return high * (TOP + 1u) + (TOP - low);
}
