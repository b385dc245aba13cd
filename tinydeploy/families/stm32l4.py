"""STM32L4 and STM32L4+: source / M * N / R in voltage range 1; the L4+ has a boost mode above 80 MHz.

RM0351 is the reference manual of the STM32L47x to L4Ax, RM0432 that of the STM32L4+; DS10198 is the data sheet of the
L476, DS12023 that of the L4R5.
"""

from __future__ import annotations

from tinydeploy.families.base import MHZ, Family, Gpio, Tree, buses, in_range, one_of, pll_input, sysclk, wait_states
from tinydeploy.stricttoml import Table

_SOURCES = {"msi": 4 * MHZ, "hsi": 16 * MHZ, "hse": None}
_KEYS = ("sysclk_hz", "source", "pll_m", "pll_n", "pll_r", "vddio2")
_PRESCALERS = ("ahb_prescaler", "apb1_prescaler", "apb2_prescaler", "flash_wait_states")


def _l4_clock(table: Table, _part: str) -> Tree:
    table.expect_keys((*_KEYS, *_PRESCALERS), ("hse_hz", "hse_bypass"))
    pll_in, fallback = pll_input(table, _SOURCES, (1, 8))
    in_range(table, "PLL input (source / pll_m)", pll_in, 4 * MHZ, 16 * MHZ, "DS10198 PLL characteristics")
    vco = pll_in * table.integer("pll_n", 8, 86)
    in_range(table, "PLL VCO (input * pll_n)", vco, 64 * MHZ, 344 * MHZ, "DS10198 PLL characteristics, range 1")
    pll_r = one_of(table, "pll_r", (2, 4, 6, 8))
    section = "RM0351 Dynamic voltage scaling management, range 1"
    core = sysclk(table, vco, pll_r, 80 * MHZ, section)
    hclk, apb = buses(table, core, ("apb1", "apb2"))
    table.boolean("vddio2")
    states = wait_states(table, hclk, 16 * MHZ, 4, "RM0351 Read access latency, range 1")
    return Tree(dict(table.values), core, hclk, apb, states, {**fallback, "BOOST": 0})


def _l4plus_clock(table: Table, _part: str) -> Tree:
    table.expect_keys((*_KEYS, "boost", *_PRESCALERS), ("hse_hz", "hse_bypass"))
    pll_in, fallback = pll_input(table, _SOURCES, (1, 16))
    in_range(table, "PLL input (source / pll_m)", pll_in, 2_660_000, 16 * MHZ, "DS12023 PLL characteristics")
    vco = pll_in * table.integer("pll_n", 8, 127)
    in_range(table, "PLL VCO (input * pll_n)", vco, 64 * MHZ, 344 * MHZ, "DS12023 PLL characteristics, range 1")
    boost = table.boolean("boost")
    section = "RM0432 Dynamic voltage scaling management, range 1 " + (
        "boost" if boost else "normal mode; 120 MHz needs boost = true"
    )
    pll_r = one_of(table, "pll_r", (2, 4, 6, 8))
    core = sysclk(table, vco, pll_r, (120 if boost else 80) * MHZ, section)
    hclk, apb = buses(table, core, ("apb1", "apb2"))
    table.boolean("vddio2")
    states = wait_states(table, hclk, 20 * MHZ, 15, "RM0432 Read access latency, range 1")
    return Tree(dict(table.values), core, hclk, apb, states, fallback)


# RM0351 and RM0432 "Register boundary addresses"; RCC_AHB2ENR, RCC_APB1ENR1, 2, RCC_APB2ENR (RCC at 0x40021000).
_ENABLES = {"APB1ENR1": 0x4002_1058, "APB1ENR2": 0x4002_105C, "APB2ENR": 0x4002_1060}

STM32L4 = Family(
    name="stm32l4",
    title="STM32L47x / L48x",
    parts=("STM32L471", "STM32L475", "STM32L476", "STM32L485", "STM32L486"),
    pins="stm32",
    clock_driver="stm32l4",
    clock_headers=("clock_stm32_hse.h", "clock_stm32_hsi.h"),
    clock=_l4_clock,
    gpio=Gpio(0x4800_0000, 0x400, "ABCDEFGH", 0x4002_104C),
    enable_registers=_ENABLES,
    # RM0351 PWR_CR2, IOSV: PG2 to PG15 are supplied by VDDIO2.
    vddio2_pins=("G", 2),
)
STM32L4PLUS = Family(
    name="stm32l4plus",
    title="STM32L4R / L4S",
    parts=("STM32L4R", "STM32L4S"),
    pins="stm32",
    clock_driver="stm32l4",
    clock_headers=("clock_stm32_hse.h", "clock_stm32_hsi.h"),
    clock=_l4plus_clock,
    gpio=Gpio(0x4800_0000, 0x400, "ABCDEFGHI", 0x4002_104C),
    enable_registers=_ENABLES,
    # RM0432 PWR_CR2, IOSV: PG2 to PG15 are supplied by VDDIO2.
    vddio2_pins=("G", 2),
)
