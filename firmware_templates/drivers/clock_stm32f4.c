/* Clock driver of the STM32F405, F407 and F411: HSI or HSE, main PLL, voltage scale 1, flash wait
 * states and caches, bus prescalers.
 *
 * RM0090 and RM0383: "Read access latency", "PLL configuration", "Voltage regulator" and the
 * registers of RCC, PWR and FLASH. The settings were checked when board.h was generated.
 */
#include "clock.h"

#include "board.h"
#include "mmio.h"

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

/* A crystal starts within some milliseconds; this is above 100 ms at HSI's 16 MHz. */
#define HSE_ATTEMPTS 400000u

static bool on_fallback;

bool clock_on_fallback(void) {
    return on_fallback;
}

/* HSI drives the core and the PLL is off: its settings and the voltage scale may be changed. */
static void run_on_hsi(void) {
    mmio_set(RCC_CR, RCC_CR_HSION);
    mmio_wait(RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY);
    mmio_field(RCC_CFGR, RCC_CFGR_SW, RCC_CFGR_SW_HSI);
    mmio_wait(RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_HSI);
    mmio_clear(RCC_CR, RCC_CR_PLLON);
    mmio_wait(RCC_CR, RCC_CR_PLLRDY, 0);
}

#if BOARD_CLOCK_SOURCE_HSE
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
    return false;
}
#endif

/* The PLLCFGR fields that depend on the source: PLLM makes the same input frequency of either. */
static uint32_t choose_source(void) {
#if BOARD_CLOCK_SOURCE_HSE
    if (start_hse()) {
        return RCC_PLLCFGR_HSE | BOARD_CLOCK_PLL_M;
    }
    on_fallback = true;
    return BOARD_CLOCK_FALLBACK_PLL_M;
#else
    return BOARD_CLOCK_PLL_M;
#endif
}

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
