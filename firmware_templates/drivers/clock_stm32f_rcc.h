/* RCC of the STM32F4 and F7, which is one and the same: its registers, the way back to HSI, the
 * source of the main PLL. Included by their clock drivers.
 */
#ifndef TD_CLOCK_STM32F_RCC_H
#define TD_CLOCK_STM32F_RCC_H

#define RCC_CR 0x40023800u
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 1)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR 0x40023804u
#define RCC_PLLCFGR_FIELDS 0x0F437FFFu /* PLLQ, PLLSRC, PLLP, PLLN, PLLM */
#define RCC_PLLCFGR_HSE (1u << 22)
#define RCC_CFGR 0x40023808u
#define RCC_CFGR_SW 0x3u
#define RCC_CFGR_SW_HSI 0x0u
#define RCC_CFGR_SW_PLL 0x2u
#define RCC_CFGR_SWS 0xCu
#define RCC_CFGR_SWS_HSI 0x0u
#define RCC_CFGR_SWS_PLL 0x8u
#define RCC_CFGR_PRESCALERS 0xFCF0u /* PPRE2, PPRE1, HPRE */
#define RCC_APB1ENR 0x40023840u
#define RCC_APB1ENR_PWREN (1u << 28)

/* A crystal starts within some milliseconds; this is above 100 ms at HSI's 16 MHz. */
#define HSE_ATTEMPTS 400000u

#include "clock_stm32_hse.h"
#include "clock_stm32_hsi.h"

/* The PLLCFGR fields that depend on the source: PLLM makes the same input frequency of either. */
static uint32_t choose_source(void) {
#if BOARD_CLOCK_SOURCE_HSE
    return start_hse() ? RCC_PLLCFGR_HSE | BOARD_CLOCK_PLL_M : BOARD_CLOCK_FALLBACK_PLL_M;
#else
    return BOARD_CLOCK_PLL_M;
#endif
}

#endif
