"""Arm's MPS2 and MPS3 boards with an FPGA image: the clocks are fixed, and UARTs have pins of their own.

Rules from the application notes of the images: AN386 (Cortex-M4), AN500 (Cortex-M7), AN547 (Cortex-M55).
"""

from __future__ import annotations

from tinydeploy.families.base import MHZ, Family, Tree
from tinydeploy.stricttoml import Table

# Part -> the core's and the peripherals' clock.
_CLOCKS = {
    "MPS2-AN386": (25 * MHZ, 25 * MHZ),
    "MPS2-AN500": (25 * MHZ, 25 * MHZ),
    "MPS3-AN547": (32 * MHZ, 25 * MHZ),
}


def _clock(table: Table, part: str) -> Tree:
    table.expect_keys(("sysclk_hz", "source"))
    table.choice("source", ("fixed",))
    core, peripherals = _CLOCKS[next(known for known in _CLOCKS if part.startswith(known))]
    if table.integer("sysclk_hz", 1 * MHZ, 1000 * MHZ) != core:
        raise table.error(f"sysclk_hz must be {core:,}: the image has one clock ({part.split('-')[1]} Clocks)")
    return Tree(dict(table.values), core, core, {"pclk": peripherals}, 0)


MPS = Family(
    name="mps",
    title="Arm MPS2 / MPS3",
    parts=tuple(_CLOCKS),
    pins="fixed",
    clock_driver="mps",
    clock=_clock,
)
