"""STM32F4 and STM32F7: one main PLL, source / M * N / P, over-drive on the F7.

RM0090 is the reference manual of the STM32F405 to F439, RM0383 that of the STM32F411, RM0385 that of the STM32F74x and
F75x, RM0410 that of the F76x and F77x, RM0431 that of the F72x and F73x; the limits are in the data sheets' "General
operating conditions": DS8626 (F405, F407), DS10314 (F411), DS10916 (F746), DS11532 (F767, F769), DS11853 (F722).
"""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.families.base import MHZ, Family, Gpio, Tree, buses, in_range, one_of, pll_input, sysclk, wait_states
from tinydeploy.stricttoml import Table

_KEYS = ("sysclk_hz", "source", "pll_m", "pll_n", "pll_p", "pll_q")
_PRESCALERS = ("ahb_prescaler", "apb1_prescaler", "apb2_prescaler", "flash_wait_states")
# Part -> the most that SYSCLK, APB1 and APB2 take, in MHz, and where that is said.
_F4_LIMITS = {
    "STM32F405": (168, 42, 84, "DS8626 general operating conditions"),
    "STM32F407": (168, 42, 84, "DS8626 general operating conditions"),
    "STM32F411": (100, 50, 100, "DS10314 general operating conditions"),
}


def _tree(table: Table, limits: tuple[int, int, int, str], rcc: str, latency: str, highest: int) -> Tree:
    """`limits` as in _F4_LIMITS; `rcc` and `latency` cite the manual on RCC_PLLCFGR and on wait states."""
    top, apb1_top, apb2_top, section = limits
    pll_in, fallback = pll_input(table, {"hse": None, "hsi": 16 * MHZ}, (2, 63))
    in_range(table, "PLL input (source / pll_m)", pll_in, 1 * MHZ, 2 * MHZ, rcc)
    vco = pll_in * table.integer("pll_n", 50, 432)
    in_range(table, "PLL VCO (input * pll_n)", vco, 100 * MHZ, 432 * MHZ, rcc)
    pll48 = vco // table.integer("pll_q", 2, 15)
    in_range(table, "PLL48CLK (VCO / pll_q)", pll48, 0, 48 * MHZ, rcc)
    pll_p = one_of(table, "pll_p", (2, 4, 6, 8))
    core = sysclk(table, vco, pll_p, top * MHZ, section)
    hclk, apb = buses(table, core, ("apb1", "apb2"))
    in_range(table, "APB1", apb["apb1"], 0, apb1_top * MHZ, section)
    in_range(table, "APB2", apb["apb2"], 0, apb2_top * MHZ, section)
    states = wait_states(table, hclk, 30 * MHZ, highest, latency)
    return Tree(dict(table.values), core, hclk, apb, states, fallback)


def _f4_clock(table: Table, part: str) -> Tree:
    table.expect_keys((*_KEYS, *_PRESCALERS), ("hse_hz", "hse_bypass"))
    limits = next(limits for beginning, limits in _F4_LIMITS.items() if part.startswith(beginning))
    manual = "RM0383" if part.startswith("STM32F411") else "RM0090"
    # FLASH_ACR.LATENCY has three bits on the F405 and F407.
    highest = 15 if manual == "RM0383" else 7
    # PWR_CR.VOS of scale 1: one bit on the F405 and F407, two on the F411.
    vos = 3 if manual == "RM0383" else 1
    latency = f"{manual} Read access latency, 2.7 to 3.6 V"
    tree = _tree(table, limits, f"{manual} RCC_PLLCFGR", latency, highest)
    return replace(tree, defines={**tree.defines, "VOS": vos})


def _f7_clock(table: Table, part: str) -> Tree:
    """Over-drive above 180 MHz."""
    table.expect_keys((*_KEYS, "over_drive", *_PRESCALERS), ("hse_hz", "hse_bypass"))
    manual, sheet = next(
        (manual, sheet)
        for beginning, manual, sheet in (
            ("STM32F74", "RM0385", "DS10916"),
            ("STM32F76", "RM0410", "DS11532"),
            ("STM32F72", "RM0431", "DS11853"),
        )
        if part.startswith(beginning)
    )
    over_drive = table.boolean("over_drive")
    section = f"{sheet} general operating conditions, scale 1" + ("" if over_drive else " without over_drive")
    limits = (216, 54, 108, section) if over_drive else (180, 45, 90, section)
    return _tree(table, limits, f"{manual} RCC_PLLCFGR", f"{manual} Read access latency, 2.7 to 3.6 V", 9)


# "Register boundary addresses" of the manuals; RCC at 0x40023800 with AHB1ENR, APB1ENR, APB2ENR.
_ENABLES = {"AHB1ENR": 0x4002_3830, "APB1ENR": 0x4002_3840, "APB2ENR": 0x4002_3844}

STM32F4 = Family(
    name="stm32f4",
    title="STM32F40x / F411",
    parts=tuple(_F4_LIMITS),
    pins="stm32",
    clock_driver="stm32f4",
    clock_headers=("clock_stm32f_rcc.h", "clock_stm32_hse.h", "clock_stm32_hsi.h"),
    clock=_f4_clock,
    gpio=Gpio(0x4002_0000, 0x400, "ABCDEFGHI", 0x4002_3830),
    enable_registers=_ENABLES,
)
STM32F7 = Family(
    name="stm32f7",
    title="STM32F72x / F74x / F76x",
    parts=("STM32F722", "STM32F723", "STM32F745", "STM32F746", "STM32F765", "STM32F767", "STM32F769"),
    pins="stm32",
    clock_driver="stm32f7",
    clock_headers=("clock_stm32f_rcc.h", "clock_stm32_hse.h", "clock_stm32_hsi.h"),
    clock=_f7_clock,
    gpio=Gpio(0x4002_0000, 0x400, "ABCDEFGHIJK", 0x4002_3830),
    enable_registers=_ENABLES,
)
