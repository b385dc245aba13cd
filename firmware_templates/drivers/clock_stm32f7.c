/* Clock driver of the STM32F7: HSI or HSE, main PLL, over-drive, flash wait states, bus prescalers.
 *
 * RM0385 "Over-drive mode" (the sequence below), "Read access latency", "PLL configuration" and
 * the registers of RCC, PWR and FLASH. The settings were checked when board.h was generated.
 */
#include "clock.h"

#include "board.h"
#include "mmio.h"

#include "clock_stm32f_rcc.h"

#define PWR_CR1 0x40007000u
#define PWR_CR1_VOS_SCALE1 (3u << 14)
#define PWR_CR1_ODEN (1u << 16)
#define PWR_CR1_ODSWEN (1u << 17)
#define PWR_CSR1 0x40007004u
#define PWR_CSR1_ODRDY (1u << 16)
#define PWR_CSR1_ODSWRDY (1u << 17)

#define FLASH_ACR 0x40023C00u
#define FLASH_ACR_LATENCY 0xFu
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ARTEN (1u << 9)
#define FLASH_ACR_ARTRST (1u << 11)

void clock_init(void) {
    run_on_hsi();

    mmio_set(RCC_APB1ENR, RCC_APB1ENR_PWREN);
    (void)MMIO32(RCC_APB1ENR); /* the clock arrives after the read */
    mmio_set(PWR_CR1, PWR_CR1_VOS_SCALE1);

    mmio_field(RCC_PLLCFGR, RCC_PLLCFGR_FIELDS,
               choose_source() | (BOARD_CLOCK_PLL_N << 6) | ((BOARD_CLOCK_PLL_P / 2u - 1u) << 16) |
                   (BOARD_CLOCK_PLL_Q << 24));
    mmio_set(RCC_CR, RCC_CR_PLLON);

#if BOARD_CLOCK_OVER_DRIVE
    /* While the PLL locks: the switch to over-drive stalls the core for the regulator. */
    mmio_set(PWR_CR1, PWR_CR1_ODEN);
    mmio_wait(PWR_CSR1, PWR_CSR1_ODRDY, PWR_CSR1_ODRDY);
    mmio_set(PWR_CR1, PWR_CR1_ODSWEN);
    mmio_wait(PWR_CSR1, PWR_CSR1_ODSWRDY, PWR_CSR1_ODSWRDY);
#endif

    /* ART may be reset only while it is off. Wait states come before the faster clock. */
    mmio_clear(FLASH_ACR, FLASH_ACR_ARTEN);
    mmio_set(FLASH_ACR, FLASH_ACR_ARTRST);
    mmio_clear(FLASH_ACR, FLASH_ACR_ARTRST);
    mmio_field(FLASH_ACR, FLASH_ACR_LATENCY,
               BOARD_CLOCK_FLASH_WAIT_STATES | FLASH_ACR_PRFTEN | FLASH_ACR_ARTEN);
    mmio_wait(FLASH_ACR, FLASH_ACR_LATENCY, BOARD_CLOCK_FLASH_WAIT_STATES);

    /* The prescalers too, so that no bus is ever too fast. */
    mmio_field(RCC_CFGR, RCC_CFGR_PRESCALERS,
               (BOARD_CLOCK_HPRE << 4) | (BOARD_CLOCK_PPRE1 << 10) | (BOARD_CLOCK_PPRE2 << 13));
    mmio_wait(RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY);
    mmio_field(RCC_CFGR, RCC_CFGR_SW, RCC_CFGR_SW_PLL);
    mmio_wait(RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_PLL);
}
