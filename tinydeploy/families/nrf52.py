"""nRF52840: 64 MHz always, from the crystal (hfxo) or the RC oscillator (hfint).

Rules from the nRF52840 Product Specification v1.1 (PS), sections by title.
"""

from __future__ import annotations

from tinydeploy.families.base import MHZ, Family, Tree
from tinydeploy.stricttoml import Table


def _clock(table: Table, _part: str) -> Tree:
    table.expect_keys(("sysclk_hz", "source"))
    table.choice("source", ("hfxo", "hfint"))
    hz = table.integer("sysclk_hz", 1 * MHZ, 1000 * MHZ)
    if hz != 64 * MHZ:
        raise table.error(f"sysclk_hz is {hz:,}; the core always runs at 64 MHz (PS CLOCK, HCLK64M)")
    return Tree(dict(table.values), hz, hz, {"pclk16m": 16 * MHZ}, 0)


NRF52 = Family(
    name="nrf52",
    title="nRF52840",
    parts=("nRF52840",),
    pins="nrf52",
    clock_driver="nrf52",
    clock=_clock,
)
