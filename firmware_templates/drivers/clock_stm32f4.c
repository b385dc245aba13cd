/* Clock driver of the STM32F405, F407 and F411: HSI or HSE, main PLL, voltage scale 1, flash wait
 * states and caches, bus prescalers.
 *
 * RM0090 and RM0383: "Read access latency", "PLL configuration", "Voltage regulator" and the
 * registers of RCC, PWR and FLASH. The settings were checked when board.h was generated.
 */
#include "clock.h"

#include "board.h"
#include "mmio.h"

#include "clock_stm32f_rcc.h"

#define PWR_CR 0x40007000u
#define PWR_CSR 0x40007004u
#define PWR_CSR_VOSRDY (1u << 14)

#define FLASH_ACR 0x40023C00u
#define FLASH_ACR_LATENCY 0x7u
#define FLASH_ACR_PRFTEN (1u << 8)
#define FLASH_ACR_ICEN (1u << 9)
#define FLASH_ACR_DCEN (1u << 10)
#define FLASH_ACR_ICRST (1u << 11)
#define FLASH_ACR_DCRST (1u << 12)

void clock_init(void) {
    run_on_hsi();

    mmio_set(RCC_APB1ENR, RCC_APB1ENR_PWREN);
    (void)MMIO32(RCC_APB1ENR); /* the clock arrives after the read */
    mmio_set(PWR_CR, BOARD_CLOCK_VOS << 14);

    mmio_field(RCC_PLLCFGR, RCC_PLLCFGR_FIELDS,
               choose_source() | (BOARD_CLOCK_PLL_N << 6) | ((BOARD_CLOCK_PLL_P / 2u - 1u) << 16) |
                   (BOARD_CLOCK_PLL_Q << 24));
    mmio_set(RCC_CR, RCC_CR_PLLON);

    /* The caches may be reset only while they are off. Wait states come before the faster clock. */
    mmio_clear(FLASH_ACR, FLASH_ACR_ICEN | FLASH_ACR_DCEN);
    mmio_set(FLASH_ACR, FLASH_ACR_ICRST | FLASH_ACR_DCRST);
    mmio_clear(FLASH_ACR, FLASH_ACR_ICRST | FLASH_ACR_DCRST);
    mmio_field(FLASH_ACR, FLASH_ACR_LATENCY,
               BOARD_CLOCK_FLASH_WAIT_STATES | FLASH_ACR_PRFTEN | FLASH_ACR_ICEN | FLASH_ACR_DCEN);
    mmio_wait(FLASH_ACR, FLASH_ACR_LATENCY, BOARD_CLOCK_FLASH_WAIT_STATES);

    /* The prescalers too, so that no bus is ever too fast. */
    mmio_field(RCC_CFGR, RCC_CFGR_PRESCALERS,
               (BOARD_CLOCK_HPRE << 4) | (BOARD_CLOCK_PPRE1 << 10) | (BOARD_CLOCK_PPRE2 << 13));
    mmio_wait(RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY);
    mmio_wait(PWR_CSR, PWR_CSR_VOSRDY,
              PWR_CSR_VOSRDY); /* the scale is there only with the PLL on */
    mmio_field(RCC_CFGR, RCC_CFGR_SW, RCC_CFGR_SW_PLL);
    mmio_wait(RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_PLL);
}
