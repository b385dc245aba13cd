/* Clock driver of the STM32U575 and U585 without TrustZone: MSI, HSI16 or HSE, PLL1, voltage range
 * 1 with the EPOD booster, flash wait states, instruction cache, bus prescalers.
 *
 * RM0456 "Dynamic voltage scaling management", "Embedded power distribution booster", "Read access
 * latency", "PLL initialization phase", "ICACHE" and the registers of RCC, PWR and FLASH. The
 * settings were checked when board.h was generated.
 */
#include "clock.h"

#include "board.h"
#include "mmio.h"

#define RCC_CR 0x46020C00u
#define RCC_CR_MSISON (1u << 0)
#define RCC_CR_MSISRDY (1u << 2)
#define RCC_CR_HSION (1u << 8)
#define RCC_CR_HSIRDY (1u << 10)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_ICSCR1 0x46020C08u
#define RCC_ICSCR1_MSIRGSEL (1u << 23)
#define RCC_ICSCR1_MSISRANGE 0xF0000000u
#define RCC_ICSCR1_MSISRANGE_4MHZ 0x40000000u
#define RCC_CFGR1 0x46020C1Cu
#define RCC_CFGR1_SW 0x3u
#define RCC_CFGR1_SW_HSI16 0x1u
#define RCC_CFGR1_SW_PLL1 0x3u
#define RCC_CFGR1_SWS 0xCu
#define RCC_CFGR1_SWS_HSI16 0x4u
#define RCC_CFGR1_SWS_PLL1 0xCu
#define RCC_CFGR2 0x46020C20u
#define RCC_CFGR2_PRESCALERS 0x77Fu /* PPRE2, PPRE1, HPRE */
#define RCC_CFGR3 0x46020C24u
#define RCC_CFGR3_PPRE3 0x70u
#define RCC_PLL1CFGR 0x46020C28u
#define RCC_PLL1CFGR_MSIS 1u
#define RCC_PLL1CFGR_HSI16 2u
#define RCC_PLL1CFGR_HSE 3u
#define RCC_PLL1CFGR_REN (1u << 18)
#define RCC_PLL1DIVR 0x46020C34u
#define RCC_AHB3ENR 0x46020C94u
#define RCC_AHB3ENR_PWREN (1u << 2)

#define PWR_VOSR 0x4602080Cu
#define PWR_VOSR_BOOSTRDY (1u << 14)
#define PWR_VOSR_VOSRDY (1u << 15)
#define PWR_VOSR_VOS_RANGE1 (3u << 16)
#define PWR_VOSR_BOOSTEN (1u << 18)

#define FLASH_ACR 0x40022000u
#define FLASH_ACR_LATENCY 0xFu
#define FLASH_ACR_PRFTEN (1u << 8)

#define ICACHE_CR 0x40030400u
#define ICACHE_CR_EN (1u << 0)
#define ICACHE_SR 0x40030404u
#define ICACHE_SR_BUSYF (1u << 0)

/* A crystal starts within some milliseconds; this is above 100 ms at HSI16's 16 MHz. */
#define HSE_ATTEMPTS 400000u

#include "clock_stm32_hse.h"

/* HSI16 drives the core and PLL1 is off: its settings may be changed. Every voltage range takes
 * 16 MHz with one wait state. */
static void run_on_hsi16(void) {
    mmio_set(RCC_CR, RCC_CR_HSION);
    mmio_wait(RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY);
    mmio_field(FLASH_ACR, FLASH_ACR_LATENCY, 1);
    mmio_wait(FLASH_ACR, FLASH_ACR_LATENCY, 1);
    mmio_field(RCC_CFGR1, RCC_CFGR1_SW, RCC_CFGR1_SW_HSI16);
    mmio_wait(RCC_CFGR1, RCC_CFGR1_SWS, RCC_CFGR1_SWS_HSI16);
    mmio_clear(PWR_VOSR, PWR_VOSR_BOOSTEN);
    mmio_wait(PWR_VOSR, PWR_VOSR_BOOSTRDY, 0);
    mmio_clear(RCC_CR, RCC_CR_PLL1ON);
    mmio_wait(RCC_CR, RCC_CR_PLL1RDY, 0);
}

/* The PLL1CFGR fields that depend on the source: PLL1M makes the same input frequency of any. */
static uint32_t choose_source(void) {
#if BOARD_CLOCK_SOURCE_HSE
    return start_hse()
               ? RCC_PLL1CFGR_HSE | ((BOARD_CLOCK_PLL_M - 1u) << 8) | (BOARD_CLOCK_PLL_MBOOST << 12)
               : RCC_PLL1CFGR_HSI16 | ((BOARD_CLOCK_FALLBACK_PLL_M - 1u) << 8);
#elif BOARD_CLOCK_SOURCE_MSI
    mmio_set(RCC_CR, RCC_CR_MSISON);
    mmio_wait(RCC_CR, RCC_CR_MSISRDY, RCC_CR_MSISRDY);
    mmio_field(RCC_ICSCR1, RCC_ICSCR1_MSISRANGE, RCC_ICSCR1_MSISRANGE_4MHZ | RCC_ICSCR1_MSIRGSEL);
    mmio_wait(RCC_CR, RCC_CR_MSISRDY, RCC_CR_MSISRDY);
    return RCC_PLL1CFGR_MSIS | ((BOARD_CLOCK_PLL_M - 1u) << 8);
#else
    return RCC_PLL1CFGR_HSI16 | ((BOARD_CLOCK_PLL_M - 1u) << 8);
#endif
}

void clock_init(void) {
    mmio_set(RCC_AHB3ENR, RCC_AHB3ENR_PWREN);
    (void)MMIO32(RCC_AHB3ENR); /* the clock arrives after the read */
    run_on_hsi16();
    mmio_set(PWR_VOSR, PWR_VOSR_VOS_RANGE1);
    mmio_wait(PWR_VOSR, PWR_VOSR_VOSRDY, PWR_VOSR_VOSRDY);

    MMIO32(RCC_PLL1CFGR) = choose_source() | (BOARD_CLOCK_PLL_RGE << 2) | RCC_PLL1CFGR_REN;
    /* P and Q are not used; their dividers keep 2. */
    MMIO32(RCC_PLL1DIVR) =
        (BOARD_CLOCK_PLL_N - 1u) | (1u << 9) | (1u << 16) | ((BOARD_CLOCK_PLL_R - 1u) << 24);
    /* The booster runs on PLL1's source and must be there before more than 55 MHz. */
    mmio_set(PWR_VOSR, PWR_VOSR_BOOSTEN);
    mmio_wait(PWR_VOSR, PWR_VOSR_BOOSTRDY, PWR_VOSR_BOOSTRDY);
    mmio_set(RCC_CR, RCC_CR_PLL1ON);

    /* Wait states and prescalers come before the faster clock, so that nothing is ever too fast. */
    mmio_field(FLASH_ACR, FLASH_ACR_LATENCY, BOARD_CLOCK_FLASH_WAIT_STATES | FLASH_ACR_PRFTEN);
    mmio_wait(FLASH_ACR, FLASH_ACR_LATENCY, BOARD_CLOCK_FLASH_WAIT_STATES);
    mmio_field(RCC_CFGR2, RCC_CFGR2_PRESCALERS,
               BOARD_CLOCK_HPRE | (BOARD_CLOCK_PPRE1 << 4) | (BOARD_CLOCK_PPRE2 << 8));
    mmio_field(RCC_CFGR3, RCC_CFGR3_PPRE3, BOARD_CLOCK_PPRE3 << 4);
    mmio_wait(RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY);
    mmio_field(RCC_CFGR1, RCC_CFGR1_SW, RCC_CFGR1_SW_PLL1);
    mmio_wait(RCC_CFGR1, RCC_CFGR1_SWS, RCC_CFGR1_SWS_PLL1);

    mmio_wait(ICACHE_SR, ICACHE_SR_BUSYF, 0); /* it clears itself after reset */
    mmio_set(ICACHE_CR, ICACHE_CR_EN);
}
