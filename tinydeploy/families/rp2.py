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
    core = sysclk(table, vco, first * second, top * MHZ, f"{section} Clocks")
    defines = {"XOSC_STARTUP": -(-xosc // 1000 // 256)}  # a millisecond, in units of 256 cycles of the crystal
    if with_flash:
        divider = table.integer("flash_divider", 2, 254)
        if divider % 2:
            raise table.error(f"flash_divider is {divider}; it must be even ({section} SSI BAUDR)")
        in_range(table, "the flash's clock", core // divider, 0, _FLASH_TOP, "data sheet of the flash, command 3Bh")
    return Tree(dict(table.values), core, core, {"clk_peri": core}, 0, defines)


def _family(name: str, *, top: int, with_flash: bool, addresses: tuple[int, ...], resets: tuple[int, ...]) -> Family:
    """`addresses` of RESETS, CLOCKS, XOSC, PLL_SYS, IO_BANK0, PADS_BANK0; `resets`: bits of the last three, in
    RESETS.RESET, IO_BANK0 first."""
    blocks = ("RESETS", "CLOCKS", "XOSC", "PLL_SYS", "IO_BANK0", "PADS_BANK0")
    return Family(
        name=name.lower(),
        title=name,
        parts=(name,),
        pins="rp2",
        clock_driver="rp2",
        clock=partial(_clock, top=top, section=f"{name} data sheet", with_flash=with_flash),
        enable_registers={"RESET": addresses[0]},
        registers={
            **{f"RP2_{block}": address for block, address in zip(blocks, addresses, strict=True)},
            **{
                f"RP2_RESET_{block}": 1 << bit
                for block, bit in zip(("IO_BANK0", "PADS_BANK0", "PLL_SYS"), resets, strict=True)
            },
        },
        boot="rp2040" if with_flash else "rp2350",
    )


# Data sheets, "Address map"; bits of RESETS.RESET.
RP2040 = _family(
    "RP2040",
    top=133,
    with_flash=True,
    addresses=(0x4000_C000, 0x4000_8000, 0x4002_4000, 0x4002_8000, 0x4001_4000, 0x4001_C000),
    resets=(5, 8, 12),
)
RP2350 = _family(
    "RP2350",
    top=150,
    with_flash=False,
    addresses=(0x4002_0000, 0x4001_0000, 0x4004_8000, 0x4005_0000, 0x4002_8000, 0x4003_8000),
    resets=(6, 9, 14),
)
