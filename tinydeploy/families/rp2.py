"""RP2040 and RP2350: crystal -> PLL_SYS -> clk_sys, on which the core and clk_peri run.

Rules from the RP2040 data sheet (DS below; "PLL", "Clocks", "Crystal oscillator") and the RP2350 data sheet.
"""

from __future__ import annotations

from functools import partial

from tinydeploy.families.base import MHZ, Family, Tree, exact, in_range, sysclk
from tinydeploy.stricttoml import Table

# What the flash chips of the boards take with the commands that their boot code sends, see boot_rp2040.c.
_FLASH_TOP = 104 * MHZ


def _clock(table: Table, _part: str, *, top: int, section: str, with_flash: bool) -> Tree:
    keys = ("sysclk_hz", "source", "xosc_hz", "pll_refdiv", "pll_fbdiv", "pll_postdiv1", "pll_postdiv2")
    table.expect_keys((*keys, "flash_divider") if with_flash else keys)
    table.choice("source", ("xosc",))
    xosc = table.integer("xosc_hz", 1 * MHZ, 15 * MHZ)
    pll_in = exact(table, "PLL input (xosc_hz / pll_refdiv)", xosc, table.integer("pll_refdiv", 1, 63))
    in_range(table, "PLL input (xosc_hz / pll_refdiv)", pll_in, 5 * MHZ, 15 * MHZ, f"{section} PLL")
    vco = pll_in * table.integer("pll_fbdiv", 16, 320)
    in_range(table, "PLL VCO (input * pll_fbdiv)", vco, 750 * MHZ, 1600 * MHZ, f"{section} PLL")
    first, second = table.integer("pll_postdiv1", 1, 7), table.integer("pll_postdiv2", 1, 7)
    if first < second:
        raise table.error(f"pll_postdiv1 is {first}, below pll_postdiv2; the larger comes first ({section} PLL)")
    core = sysclk(table, exact(table, "sysclk", vco, first * second), top * MHZ, f"{section} Clocks")
    defines = {"XOSC_STARTUP": -(-xosc // 1000 // 256)}  # a millisecond, in units of 256 cycles of the crystal
    if with_flash:
        divider = table.integer("flash_divider", 2, 254)
        if divider % 2:
            raise table.error(f"flash_divider is {divider}; it must be even ({section} SSI BAUDR)")
        in_range(table, "the flash's clock", core // divider, 0, _FLASH_TOP, "data sheet of the flash, command 3Bh")
    return Tree(dict(table.values), core, core, {"clk_peri": core}, 0, defines)


RP2040 = Family(
    name="rp2040",
    title="RP2040",
    parts=("RP2040",),
    pins="rp2",
    clock_driver="rp2",
    clock=partial(_clock, top=133, section="RP2040 data sheet", with_flash=True),
    enable_registers={"RESET": 0x4000_C000},
    # RP2040 data sheet "Address Map"; bits of RESETS.RESET.
    registers={
        "RP2_RESETS": 0x4000_C000,
        "RP2_CLOCKS": 0x4000_8000,
        "RP2_XOSC": 0x4002_4000,
        "RP2_PLL_SYS": 0x4002_8000,
        "RP2_IO_BANK0": 0x4001_4000,
        "RP2_PADS_BANK0": 0x4001_C000,
        "RP2_RESET_IO_BANK0": 1 << 5,
        "RP2_RESET_PADS_BANK0": 1 << 8,
        "RP2_RESET_PLL_SYS": 1 << 12,
    },
    boot="rp2040",
)
RP2350 = Family(
    name="rp2350",
    title="RP2350",
    parts=("RP2350",),
    pins="rp2",
    clock_driver="rp2",
    clock=partial(_clock, top=150, section="RP2350 data sheet", with_flash=False),
    enable_registers={"RESET": 0x4002_0000},
    # RP2350 data sheet "Address map"; bits of RESETS.RESET.
    registers={
        "RP2_RESETS": 0x4002_0000,
        "RP2_CLOCKS": 0x4001_0000,
        "RP2_XOSC": 0x4004_8000,
        "RP2_PLL_SYS": 0x4005_0000,
        "RP2_IO_BANK0": 0x4002_8000,
        "RP2_PADS_BANK0": 0x4003_8000,
        "RP2_RESET_IO_BANK0": 1 << 6,
        "RP2_RESET_PADS_BANK0": 1 << 9,
        "RP2_RESET_PLL_SYS": 1 << 14,
    },
    boot="rp2350",
)
