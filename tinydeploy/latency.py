"""Times for people, and what they are worth: every latency that is shown names where it comes from, as one sentence.

The board's own counter; the virtual board's cycle model, with how far it was off where silicon was measured; or the
cost model, by which a network was not run at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinydeploy.shipped_constants import shipped_constants

ON_DEVICE = "measured: counted by the device's cycle counter"
# Rules at zero wait states against the published latencies of the five chips of docs/SILICON.md.
_UNCALIBRATED = "uncalibrated; on chips that were measured such rules were 7 to 13 % off on average, 35 % at worst"
# tests/virtual/test_cost_model.py holds it to that.
_COST_MODEL = "cost model, not run, within 10 % of the virtual board's cycles"


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


def by_cost_model(part: str, core_title: str, *, is_calibrated: bool) -> str:
    """The origin of cycles that the cost model predicts: as a virtual board would, which has not run the network."""
    shipped = _shipped(part) if is_calibrated else None
    board = shipped or by_rules(f"the {core_title}'s rules, zero wait states (estimate)")
    return f"{_COST_MODEL}, which are by {board}"


def by_constants_that_ship(part: str) -> str | None:
    """The origin of cycles that follow from what is known of a chip's flash; None for a chip of which nothing is."""
    shipped = _shipped(part)
    return None if shipped is None else f"predicted, not run, by {shipped}"


def by_instructions(core_title: str) -> str:
    """The origin of cycles where nothing here can count a core's."""
    return f"cost model, not run, one cycle an instruction: no cycles of a {core_title} were ever counted"


def by_scaled_cost_model(factor: float, statement: str) -> str:
    """The same, scaled to constants of one's own."""
    return f"{_COST_MODEL}, scaled by {factor:.3g} to those by {statement}"


def origins(labelled: Iterable[tuple[str, str | None]]) -> list[str]:
    """Lines that name the origins of times: one where all that are known are the same, else one for each label."""
    known = {label: origin for label, origin in labelled if origin is not None}
    if len(set(known.values())) <= 1:
        return [f"latency: {origin}" for origin in list(known.values())[:1]]
    return [f"latency, {label}: {origin}" for label, origin in known.items()]


def _shipped(part: str) -> str | None:
    """The origin of cycles by the constants that ship for a chip."""
    found = shipped_constants(part)
    if found is None:
        return None
    name, values = found
    return by_constants(name, values["chip"], values["core_hz"], values["flash_wait_states"], Band(**values["band"]))
