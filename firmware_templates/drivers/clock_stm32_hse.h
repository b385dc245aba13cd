/* The external oscillator of the STM32: started where the board asks for it, given up for the
 * fallback where nothing comes. Included by a clock driver after its definitions of RCC_CR,
 * RCC_CR_HSEON, HSERDY and HSEBYP and of HSE_ATTEMPTS: so many looks at HSERDY before HSE is given
 * up.
 */
#ifndef TD_CLOCK_STM32_HSE_H
#define TD_CLOCK_STM32_HSE_H

#include "board.h"
#include "clock.h"
#include "mmio.h"

static bool on_fallback;

bool clock_on_fallback(void) {
    return on_fallback;
}

#if BOARD_CLOCK_SOURCE_HSE
/* Whether HSE runs; if not, the clock is on its fallback. */
static bool start_hse(void) {
    mmio_clear(RCC_CR, RCC_CR_HSEON);
    mmio_wait(RCC_CR, RCC_CR_HSERDY, 0);
#if BOARD_CLOCK_HSE_BYPASS
    mmio_set(RCC_CR, RCC_CR_HSEBYP);
#else
    mmio_clear(RCC_CR, RCC_CR_HSEBYP);
#endif
    mmio_set(RCC_CR, RCC_CR_HSEON);
    for (uint32_t attempt = 0; attempt < HSE_ATTEMPTS; attempt++) {
        if ((MMIO32(RCC_CR) & RCC_CR_HSERDY) != 0) {
            return true;
        }
    }
    mmio_clear(RCC_CR, RCC_CR_HSEON);
    on_fallback = true;
    return false;
}
#endif

#endif
