/* The way back to the internal oscillator, as the STM32F4, F7, L4 and L4+ go it. Included by a
 * clock driver after its definitions of RCC_CR, its HSION, HSIRDY, PLLON and PLLRDY, and of
 * RCC_CFGR, its SW and SWS with their values for HSI.
 */
#ifndef TD_CLOCK_STM32_HSI_H
#define TD_CLOCK_STM32_HSI_H

#include "mmio.h"

/* HSI drives the core and the PLL is off: its settings and the voltage may be changed. */
static void run_on_hsi(void) {
    mmio_set(RCC_CR, RCC_CR_HSION);
    mmio_wait(RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY);
    mmio_field(RCC_CFGR, RCC_CFGR_SW, RCC_CFGR_SW_HSI);
    mmio_wait(RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_HSI);
    mmio_clear(RCC_CR, RCC_CR_PLLON);
    mmio_wait(RCC_CR, RCC_CR_PLLRDY, 0);
}

#endif
