"""STM32U575 and U585 without TrustZone: source / M * N / R in voltage range 1, the EPOD booster above 55 MHz.

RM0456 is the reference manual, DS13737 the data sheet of the U575.
"""

from __future__ import annotations

from tinydeploy.families.base import MHZ, Family, Gpio, Tree, buses, in_range, pll_input, sysclk, wait_states
from tinydeploy.stricttoml import Table


def _clock(table: Table, _part: str) -> Tree:
    table.expect_keys(
        ("sysclk_hz", "source", "pll_m", "pll_n", "pll_r", "ahb_prescaler", "apb1_prescaler", "apb2_prescaler",
         "apb3_prescaler", "flash_wait_states"),
        ("hse_hz", "hse_bypass"),
    )  # fmt: skip
    pll_in, fallback = pll_input(table, {"msi": 4 * MHZ, "hsi": 16 * MHZ, "hse": None}, (1, 16))
    in_range(table, "PLL input (source / pll_m)", pll_in, 4 * MHZ, 16 * MHZ, "RM0456 RCC_PLL1CFGR")
    vco = pll_in * table.integer("pll_n", 4, 512)
    in_range(table, "PLL VCO (input * pll_n)", vco, 128 * MHZ, 544 * MHZ, "DS13737 PLL characteristics, range 1")
    section = "RM0456 Dynamic voltage scaling management, range 1"
    pll_r = table.integer("pll_r", 1, 128)
    core = sysclk(table, vco, pll_r, 160 * MHZ, section)
    hclk, apb = buses(table, core, ("apb1", "apb2", "apb3"))
    states = wait_states(table, hclk, 32 * MHZ, 15, "RM0456 Read access latency, range 1")
    source_hz = pll_in * table.integer("pll_m", 1, 16)
    # PLL1RGE: input of 4 to 8 or 8 to 16 MHz. PLL1MBOOST: the booster's clock, source / 1, 2, 4 ..., must be 4 to
    # 16 MHz (RM0456 RCC_PLL1CFGR); with HSE replaced by HSI, its 16 MHz stay within that too.
    boost = next(code for code in range(9) if source_hz // max(1, 2 * code) <= 16 * MHZ)
    defines = {**fallback, "PLL_RGE": 3 if pll_in > 8 * MHZ else 0, "PLL_MBOOST": boost}
    return Tree(dict(table.values), core, hclk, apb, states, defines)


STM32U5 = Family(
    name="stm32u5",
    title="STM32U575 / U585",
    parts=("STM32U575", "STM32U585"),
    pins="stm32",
    clock_driver="stm32u5",
    clock_headers=("clock_stm32_hse.h",),
    clock=_clock,
    # RM0456 "Memory map and register boundary addresses", the non-secure ones; RCC at 0x46020C00.
    gpio=Gpio(0x4202_0000, 0x400, "ABCDEFGHI", 0x4602_0C8C),
    enable_registers={"APB1ENR1": 0x4602_0C9C, "APB2ENR": 0x4602_0CA4, "APB3ENR": 0x4602_0CA8},
)
