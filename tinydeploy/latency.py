"""Times for people, and what they are worth: every latency that is shown names where it comes from, as one sentence.

The board's own counter; the virtual board's cycle model, with how far it was off where silicon was measured; or the
cost model, by which a network was not run at all.
"""

from __future__ import annotations

from dataclasses import dataclass

ON_DEVICE = "measured: counted by the device's cycle counter"
# docs/SILICON.md: how rules at zero wait states erred on the chips that were measured.
_UNCALIBRATED = "uncalibrated; on chips that were measured such rules were 7 to 12 % off on average, 30 % at worst"


@dataclass(frozen=True, slots=True)
class Band:
    """How far predictions were off on cases that the constants were not fitted to, in per cent."""

    mean_percent: float
    worst_percent: float
    cases: str


def microseconds(value: float) -> str:
    """A time in the unit that suits it, such as 8.183 ms."""
    return f"{value / 1000:,.3f} ms" if abs(value) >= 1000 else f"{value:.1f} us"


def by_constants(name: str, chip: str, core_hz: int, wait_states: int, band: Band | None) -> str:
    """The origin of cycles by the constants `name` of a chip at one clock."""
    where = f"{chip} at {core_hz / 1e6:g} MHz, {wait_states} flash wait states, constants {name} (calibrated estimate)"
    if band is None:
        return f"{where}: how far off on other firmware is not known"
    return f"{where}: off by {band.mean_percent:g} % on average, {band.worst_percent:g} % at worst on {band.cases}"


def by_rules(rules: str) -> str:
    """The origin of cycles by a core's `rules` alone, such as "Cortex-M4 TRM rules, zero wait states (estimate)"."""
    return f"{rules}: {_UNCALIBRATED}"
