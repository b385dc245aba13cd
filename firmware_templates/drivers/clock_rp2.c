/* Clock driver of the RP2040 and RP2350: crystal, PLL_SYS, clk_ref, clk_sys and clk_peri.
 *
 * RP2040 data sheet "Crystal Oscillator (XOSC)", "PLL" ("Programming the PLL"), "Clocks"
 * ("Glitchless mux") and "Subsystem Resets"; in the RP2350 they are the same at other addresses.
 */
#include "clock.h"

#include "board.h"
#include "mmio.h"

#define RESETS_RESET (BOARD_RP2_RESETS + 0x0u)
#define RESETS_RESET_DONE (BOARD_RP2_RESETS + 0x8u)

#define XOSC_CTRL (BOARD_RP2_XOSC + 0x00u)
#define XOSC_CTRL_1_15MHZ 0xAA0u
#define XOSC_CTRL_ENABLE (0xFABu << 12)
#define XOSC_STATUS (BOARD_RP2_XOSC + 0x04u)
#define XOSC_STATUS_STABLE (1u << 31)
#define XOSC_STARTUP (BOARD_RP2_XOSC + 0x0Cu)

#define PLL_CS (BOARD_RP2_PLL_SYS + 0x0u)
#define PLL_CS_LOCK (1u << 31)
#define PLL_PWR (BOARD_RP2_PLL_SYS + 0x4u)
#define PLL_PWR_PD (1u << 0)
#define PLL_PWR_POSTDIVPD (1u << 3)
#define PLL_PWR_VCOPD (1u << 5)
#define PLL_FBDIV_INT (BOARD_RP2_PLL_SYS + 0x8u)
#define PLL_PRIM (BOARD_RP2_PLL_SYS + 0xCu)

#define CLK_REF_CTRL (BOARD_RP2_CLOCKS + 0x30u)
#define CLK_REF_CTRL_SRC 0x3u
#define CLK_REF_CTRL_SRC_XOSC 0x2u
#define CLK_REF_SELECTED (BOARD_RP2_CLOCKS + 0x38u)
#define CLK_SYS_CTRL (BOARD_RP2_CLOCKS + 0x3Cu)
#define CLK_SYS_CTRL_SRC_AUX 0x1u
#define CLK_SYS_CTRL_AUXSRC 0xE0u /* 0: PLL_SYS */
#define CLK_SYS_SELECTED (BOARD_RP2_CLOCKS + 0x44u)
#define CLK_PERI_CTRL (BOARD_RP2_CLOCKS + 0x48u)
#define CLK_PERI_CTRL_ENABLE (1u << 11) /* AUXSRC 0: clk_sys */

/* The crystal is all that there is: without it nothing starts. */
bool clock_on_fallback(void) {
    return false;
}

static void start_crystal(void) {
    MMIO32(XOSC_CTRL) = XOSC_CTRL_1_15MHZ;
    MMIO32(XOSC_STARTUP) = BOARD_CLOCK_XOSC_STARTUP;
    MMIO32(XOSC_CTRL) = XOSC_CTRL_1_15MHZ | XOSC_CTRL_ENABLE;
    mmio_wait(XOSC_STATUS, XOSC_STATUS_STABLE, XOSC_STATUS_STABLE);
}

/* A mux may be switched only to a clock that runs, and clk_sys's other input may be changed only
 * while clk_ref drives it. SELECTED has one bit per source. */
static void run_on_crystal(void) {
    mmio_field(CLK_REF_CTRL, CLK_REF_CTRL_SRC, CLK_REF_CTRL_SRC_XOSC);
    mmio_wait(CLK_REF_SELECTED, 0xFu, 1u << CLK_REF_CTRL_SRC_XOSC);
    mmio_clear(CLK_SYS_CTRL, CLK_SYS_CTRL_SRC_AUX);
    mmio_wait(CLK_SYS_SELECTED, 0x3u, 1u);
}

static void start_pll(void) {
    mmio_set(RESETS_RESET, BOARD_RP2_RESET_PLL_SYS);
    mmio_clear(RESETS_RESET, BOARD_RP2_RESET_PLL_SYS);
    mmio_wait(RESETS_RESET_DONE, BOARD_RP2_RESET_PLL_SYS, BOARD_RP2_RESET_PLL_SYS);
    MMIO32(PLL_CS) = BOARD_CLOCK_PLL_REFDIV;
    MMIO32(PLL_FBDIV_INT) = BOARD_CLOCK_PLL_FBDIV;
    mmio_clear(PLL_PWR, PLL_PWR_PD | PLL_PWR_VCOPD);
    mmio_wait(PLL_CS, PLL_CS_LOCK, PLL_CS_LOCK);
    MMIO32(PLL_PRIM) = (BOARD_CLOCK_PLL_POSTDIV1 << 16) | (BOARD_CLOCK_PLL_POSTDIV2 << 12);
    mmio_clear(PLL_PWR, PLL_PWR_POSTDIVPD);
}

void clock_init(void) {
    start_crystal();
    run_on_crystal();
    start_pll();
    mmio_clear(CLK_SYS_CTRL, CLK_SYS_CTRL_AUXSRC);
    mmio_set(CLK_SYS_CTRL, CLK_SYS_CTRL_SRC_AUX);
    mmio_wait(CLK_SYS_SELECTED, 0x3u, 1u << CLK_SYS_CTRL_SRC_AUX);
    MMIO32(CLK_PERI_CTRL) = CLK_PERI_CTRL_ENABLE;
}
