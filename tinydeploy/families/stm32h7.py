"""STM32H742, H743, H750 and H753: source / M * N / P, voltage scales 0 to 3 (480 MHz needs scale 0).

RM0433 is the reference manual, DS12110 the data sheet of the H743 (revision V of the silicon; revision Y ends at
400 MHz and has no scale 0).
"""

from __future__ import annotations

from tinydeploy.families.base import MHZ, Family, Gpio, Tree, buses, in_range, one_of, pll_input, prescaler, sysclk
from tinydeploy.stricttoml import Table

# DS12110 "General operating conditions", revision V: scale -> the most of core, AXI with AHB, and APB, in MHz.
_LIMITS = {0: (480, 240, 120), 1: (400, 200, 100), 2: (300, 150, 75), 3: (200, 100, 50)}
# RM0433 "FLASH recommended number of wait states and programming delay": scale -> the most that AXI takes with
# 0, 1, 2 ... wait states, in MHz.
_LATENCY_TOPS = {
    0: (70, 140, 210, 225, 240),
    1: (70, 140, 210, 225),
    2: (55, 110, 165, 225),
    3: (45, 90, 135, 180, 225),
}


def _clock(table: Table, _part: str) -> Tree:
    apbs = ("apb1", "apb2", "apb3", "apb4")
    table.expect_keys(
        ("sysclk_hz", "source", "pll_m", "pll_n", "pll_p", "voltage_scale", "sys_prescaler", "ahb_prescaler",
         *(f"{bus}_prescaler" for bus in apbs), "flash_wait_states"),
        ("hse_hz", "hse_bypass"),
    )  # fmt: skip
    pll_in, fallback = pll_input(table, {"hse": None, "hsi": 64 * MHZ}, (1, 63), 64 * MHZ)
    in_range(table, "PLL input (source / pll_m)", pll_in, 2 * MHZ, 16 * MHZ, "RM0433 RCC_PLLCFGR, wide VCO")
    vco = pll_in * table.integer("pll_n", 4, 512)
    in_range(table, "PLL VCO (input * pll_n)", vco, 192 * MHZ, 960 * MHZ, "DS12110 PLL characteristics, wide VCO")
    pll_p = one_of(table, "pll_p", tuple(range(2, 129, 2)))
    scale = table.integer("voltage_scale", 0, 3)
    core_top, axi_top, apb_top = _LIMITS[scale]
    section = f"DS12110 general operating conditions, scale {scale}"
    sys = sysclk(table, vco, pll_p, core_top * MHZ, section)
    core = prescaler(table, "sys_prescaler", sys)
    axi, apb = buses(table, core, apbs)
    in_range(table, "AXI and AHB", axi, 0, axi_top * MHZ, section)
    for bus, hz in apb.items():
        in_range(table, bus.upper(), hz, 0, apb_top * MHZ, section)
    tops = _LATENCY_TOPS[scale]
    states = table.integer("flash_wait_states", 0, 15)
    needed = sum(axi > top * MHZ for top in tops)
    if states < needed:
        raise table.error(
            f"flash_wait_states is {states}; AXI at {axi / MHZ:g} MHz needs {needed} (RM0433 FLASH recommended number "
            f"of wait states, scale {scale})"
        )
    # PLL1RGE: input of 2 to 4, 4 to 8, 8 to 16 MHz. WRHIGHFREQ: the programming delay of the same table.
    defines = {**fallback, "PLL_RGE": 1 + (pll_in > 4 * MHZ) + (pll_in > 8 * MHZ), "WRHIGHFREQ": min(2, needed)}
    return Tree(dict(table.values), sys, core, apb, states, defines)


STM32H7 = Family(
    name="stm32h7",
    title="STM32H742 / H743 / H750 / H753",
    parts=("STM32H742", "STM32H743", "STM32H750", "STM32H753"),
    pins="stm32",
    clock_driver="stm32h7",
    clock_headers=("clock_stm32_hse.h",),
    clock=_clock,
    # RM0433 "Register boundary addresses"; RCC at 0x58024400.
    gpio=Gpio(0x5802_0000, 0x400, "ABCDEFGHIJK", 0x5802_44E0),
    enable_registers={"APB1LENR": 0x5802_44E8, "APB2ENR": 0x5802_44F0, "APB4ENR": 0x5802_44F4},
)
