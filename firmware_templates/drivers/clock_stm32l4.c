/* Clock driver of the STM32L4 and L4+: MSI, HSI16 or HSE, main PLL, voltage range 1, on the L4+
 * with or without boost, flash wait states, bus prescalers, VDDIO2.
 *
 * RM0351 and RM0432 "Dynamic voltage scaling management" (the boost sequence below), "Read access
 * latency", "PLL" and the registers of RCC, PWR and FLASH. The settings were checked when board.h
 * was generated.
 */
#include "clock.h"

#include "board.h"
#include "mmio.h"

#define RCC_CR 0x40021000u
#define RCC_CR_MSION (1u << 0)
#define RCC_CR_MSIRDY (1u << 1)
#define RCC_CR_MSIRGSEL (1u << 3)
#define RCC_CR_MSIRANGE 0xF0u
#define RCC_CR_MSIRANGE_4MHZ 0x60u
#define RCC_CR_HSION (1u << 8)
#define RCC_CR_HSIRDY (1u << 10)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_CFGR 0x40021008u
#define RCC_CFGR_SW 0x3u
#define RCC_CFGR_SW_HSI 0x1u
#define RCC_CFGR_SW_PLL 0x3u
#define RCC_CFGR_SWS 0xCu
#define RCC_CFGR_SWS_HSI 0x4u
#define RCC_CFGR_SWS_PLL 0xCu
#define RCC_CFGR_HPRE 0xF0u
#define RCC_CFGR_HPRE_DIV2 0x80u
#define RCC_CFGR_PPRE 0x3F00u /* PPRE2, PPRE1 */
#define RCC_PLLCFGR 0x4002100Cu
#define RCC_PLLCFGR_MSI 1u
#define RCC_PLLCFGR_HSI16 2u
#define RCC_PLLCFGR_HSE 3u
#define RCC_PLLCFGR_REN (1u << 24)
#define RCC_APB1ENR1 0x40021058u
#define RCC_APB1ENR1_PWREN (1u << 28)

#define PWR_CR1 0x40007000u
#define PWR_CR1_VOS 0x600u
#define PWR_CR1_VOS_RANGE1 0x200u
#define PWR_CR2 0x40007004u
#define PWR_CR2_IOSV (1u << 9)
#define PWR_SR2 0x40007014u
#define PWR_SR2_VOSF (1u << 10)
#define PWR_CR5 0x40007080u
#define PWR_CR5_R1MODE (1u << 8) /* clear: boost */

#define FLASH_ACR 0x40022000u
#define FLASH_ACR_LATENCY 0xFu
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)

/* A crystal starts within some milliseconds; this is above 100 ms at HSI16's 16 MHz. */
#define HSE_ATTEMPTS 400000u

#include "clock_stm32_hse.h"
#include "clock_stm32_hsi.h"

/* The PLLCFGR fields that depend on the source: PLLM makes the same input frequency of either. */
static uint32_t choose_source(void) {
#if BOARD_CLOCK_SOURCE_HSE
    return start_hse() ? RCC_PLLCFGR_HSE | ((BOARD_CLOCK_PLL_M - 1u) << 4)
                       : RCC_PLLCFGR_HSI16 | ((BOARD_CLOCK_FALLBACK_PLL_M - 1u) << 4);
#elif BOARD_CLOCK_SOURCE_MSI
    /* The range may be changed only while MSI is off or ready. */
    mmio_set(RCC_CR, RCC_CR_MSION);
    mmio_wait(RCC_CR, RCC_CR_MSIRDY, RCC_CR_MSIRDY);
    mmio_field(RCC_CR, RCC_CR_MSIRANGE, RCC_CR_MSIRANGE_4MHZ);
    mmio_set(RCC_CR, RCC_CR_MSIRGSEL);
    mmio_wait(RCC_CR, RCC_CR_MSIRDY, RCC_CR_MSIRDY);
    return RCC_PLLCFGR_MSI | ((BOARD_CLOCK_PLL_M - 1u) << 4);
#else
    return RCC_PLLCFGR_HSI16 | ((BOARD_CLOCK_PLL_M - 1u) << 4);
#endif
}

/* At least one microsecond at up to 120 MHz: each turn is one cycle or more. */
static void wait_one_microsecond(void) {
    for (uint32_t turn = 0; turn < 120u; turn++) {
        __asm volatile("nop");
    }
}

void clock_init(void) {
    mmio_set(RCC_APB1ENR1, RCC_APB1ENR1_PWREN);
    (void)MMIO32(RCC_APB1ENR1); /* the clock arrives after the read */
    mmio_field(PWR_CR1, PWR_CR1_VOS, PWR_CR1_VOS_RANGE1);
    mmio_wait(PWR_SR2, PWR_SR2_VOSF, 0);
    run_on_hsi(); /* range 1 needs no flash wait states at 16 MHz */

    MMIO32(RCC_PLLCFGR) =
        choose_source() | (BOARD_CLOCK_PLL_N << 8) | ((BOARD_CLOCK_PLL_R / 2u - 1u) << 25);
    mmio_set(RCC_CR, RCC_CR_PLLON);
    mmio_set(RCC_PLLCFGR, RCC_PLLCFGR_REN);
    mmio_wait(RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY);

    /* The prescalers first, so that no bus is ever too fast; AHB at half speed until the core
     * supply has settled. */
    mmio_field(RCC_CFGR, RCC_CFGR_PPRE, (BOARD_CLOCK_PPRE1 << 8) | (BOARD_CLOCK_PPRE2 << 11));
#if BOARD_CLOCK_BOOST
    mmio_field(RCC_CFGR, RCC_CFGR_HPRE, RCC_CFGR_HPRE_DIV2);
    mmio_clear(PWR_CR5, PWR_CR5_R1MODE);
#endif
    mmio_field(FLASH_ACR, FLASH_ACR_LATENCY,
               BOARD_CLOCK_FLASH_WAIT_STATES | FLASH_ACR_PRFTEN | FLASH_ACR_ICEN | FLASH_ACR_DCEN);
    mmio_wait(FLASH_ACR, FLASH_ACR_LATENCY, BOARD_CLOCK_FLASH_WAIT_STATES);

    mmio_field(RCC_CFGR, RCC_CFGR_SW, RCC_CFGR_SW_PLL);
    mmio_wait(RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_PLL);
    wait_one_microsecond();
    mmio_field(RCC_CFGR, RCC_CFGR_HPRE, BOARD_CLOCK_HPRE << 4);

#if BOARD_CLOCK_VDDIO2
    mmio_set(PWR_CR2, PWR_CR2_IOSV);
#endif
}
