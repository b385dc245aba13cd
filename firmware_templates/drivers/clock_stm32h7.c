/* Clock driver of the STM32H742, H743, H750 and H753: HSI or HSE, PLL1, voltage scales 0 to 3,
 * flash wait states, bus prescalers.
 *
 * RM0433 "Voltage scaling" (the sequence to scale 0 below), "System supply startup", "PLL
 * initialization phase" and the registers of RCC, PWR, SYSCFG and FLASH. The chips have a linear
 * regulator only. The settings were checked when board.h was generated.
 */
#include "clock.h"

#include "board.h"
#include "mmio.h"

#define RCC_CR 0x58024400u
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 2)
#define RCC_CR_HSIDIV 0x18u
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CFGR 0x58024410u
#define RCC_CFGR_SW 0x7u
#define RCC_CFGR_SW_HSI 0x0u
#define RCC_CFGR_SW_PLL1 0x3u
#define RCC_CFGR_SWS 0x38u
#define RCC_CFGR_SWS_HSI 0x00u
#define RCC_CFGR_SWS_PLL1 0x18u
#define RCC_D1CFGR 0x58024418u
#define RCC_D2CFGR 0x5802441Cu
#define RCC_D3CFGR 0x58024420u
#define RCC_PLLCKSELR 0x58024428u
#define RCC_PLLCKSELR_HSI 0x0u
#define RCC_PLLCKSELR_HSE 0x2u
#define RCC_PLLCFGR 0x5802442Cu
#define RCC_PLLCFGR_PLL1 0x7000Fu /* PLL1's fields: outputs, RGE, VCOSEL (0: wide), FRACEN */
#define RCC_PLLCFGR_DIVP1EN (1u << 16)
#define RCC_PLL1DIVR 0x58024430u
#define RCC_APB4ENR 0x580244F4u
#define RCC_APB4ENR_SYSCFGEN (1u << 1)

#define PWR_CSR1 0x58024804u
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_CR3 0x5802480Cu
#define PWR_CR3_BYPASS (1u << 0)
#define PWR_CR3_LDOEN (1u << 1)
#define PWR_CR3_SCUEN (1u << 2)
#define PWR_D3CR 0x58024818u
#define PWR_D3CR_VOSRDY (1u << 13)
#define PWR_D3CR_VOS 0xC000u

#define SYSCFG_PWRCR 0x5800042Cu
#define SYSCFG_PWRCR_ODEN (1u << 0)

#define FLASH_ACR 0x52002000u
#define FLASH_ACR_FIELDS 0x3Fu /* WRHIGHFREQ, LATENCY */

/* A crystal starts within some milliseconds; this is above 100 ms at HSI's 64 MHz. */
#define HSE_ATTEMPTS 1600000u

#include "clock_stm32_hse.h"

/* HSI at 64 MHz drives the core and PLL1 is off: its settings and the voltage may be changed. */
static void run_on_hsi(void) {
    mmio_set(RCC_CR, RCC_CR_HSION);
    mmio_wait(RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY);
    mmio_clear(RCC_CR, RCC_CR_HSIDIV);
    mmio_field(RCC_CFGR, RCC_CFGR_SW, RCC_CFGR_SW_HSI);
    mmio_wait(RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_HSI);
    mmio_clear(RCC_CR, RCC_CR_PLL1ON);
    mmio_wait(RCC_CR, RCC_CR_PLL1RDY, 0);
}

/* The supply must be stated once after power-on before the voltage scale may change. Scale 0 is
 * scale 1 with SYSCFG's boost, so it comes after scale 1. */
static void raise_voltage(void) {
    mmio_field(PWR_CR3, PWR_CR3_SCUEN | PWR_CR3_BYPASS, PWR_CR3_LDOEN);
    mmio_wait(PWR_CSR1, PWR_CSR1_ACTVOSRDY, PWR_CSR1_ACTVOSRDY);
    mmio_set(RCC_APB4ENR, RCC_APB4ENR_SYSCFGEN);
    (void)MMIO32(RCC_APB4ENR); /* the clock arrives after the read */
    mmio_clear(SYSCFG_PWRCR, SYSCFG_PWRCR_ODEN);
#if BOARD_CLOCK_VOLTAGE_SCALE == 0
    mmio_set(PWR_D3CR, PWR_D3CR_VOS);
    mmio_wait(PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY);
    mmio_set(SYSCFG_PWRCR, SYSCFG_PWRCR_ODEN);
#else
    mmio_field(PWR_D3CR, PWR_D3CR_VOS, (4u - BOARD_CLOCK_VOLTAGE_SCALE) << 14);
#endif
    mmio_wait(PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY);
}

/* PLLCKSELR: DIVM1 makes the same input frequency of either source; PLL2 and PLL3 stay off. */
static uint32_t choose_source(void) {
#if BOARD_CLOCK_SOURCE_HSE
    return start_hse() ? RCC_PLLCKSELR_HSE | (BOARD_CLOCK_PLL_M << 4)
                       : RCC_PLLCKSELR_HSI | (BOARD_CLOCK_FALLBACK_PLL_M << 4);
#else
    return RCC_PLLCKSELR_HSI | (BOARD_CLOCK_PLL_M << 4);
#endif
}

void clock_init(void) {
    run_on_hsi();
    raise_voltage();

    MMIO32(RCC_PLLCKSELR) = choose_source();
    mmio_field(RCC_PLLCFGR, RCC_PLLCFGR_PLL1, RCC_PLLCFGR_DIVP1EN | (BOARD_CLOCK_PLL_RGE << 2));
    /* Q and R are not used; their dividers keep 2. */
    MMIO32(RCC_PLL1DIVR) =
        (BOARD_CLOCK_PLL_N - 1u) | ((BOARD_CLOCK_PLL_P - 1u) << 9) | (1u << 16) | (1u << 24);
    mmio_set(RCC_CR, RCC_CR_PLL1ON);

    /* Wait states and prescalers come before the faster clock, so that nothing is ever too fast. */
    mmio_field(FLASH_ACR, FLASH_ACR_FIELDS,
               BOARD_CLOCK_FLASH_WAIT_STATES | (BOARD_CLOCK_WRHIGHFREQ << 4));
    mmio_wait(FLASH_ACR, FLASH_ACR_FIELDS,
              BOARD_CLOCK_FLASH_WAIT_STATES | (BOARD_CLOCK_WRHIGHFREQ << 4));
    MMIO32(RCC_D1CFGR) = BOARD_CLOCK_HPRE | (BOARD_CLOCK_PPRE3 << 4) | (BOARD_CLOCK_SYSPRE << 8);
    MMIO32(RCC_D2CFGR) = (BOARD_CLOCK_PPRE1 << 4) | (BOARD_CLOCK_PPRE2 << 8);
    MMIO32(RCC_D3CFGR) = BOARD_CLOCK_PPRE4 << 4;
    mmio_wait(RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY);
    mmio_field(RCC_CFGR, RCC_CFGR_SW, RCC_CFGR_SW_PLL1);
    mmio_wait(RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_PLL1);
}
