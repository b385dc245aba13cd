"""The table of where steps read their constants, and of what each place would cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tinydeploy.tables import table

_PLACES = {"flash": "flash", "arena": "arena", "ram": "RAM"}
_NOTE = (
    "Where steps read their constants, and the cycles that each place costs an inference (predicted): waiting for\n"
    "flash, or copying to the arena where it is free. RAM: a copy that start-up makes, with --optimize speed."
)


def constants_report(choices: Sequence[Mapping[str, Any]], cycle_model: str | None) -> tuple[RenderableType, ...]:
    """A row for every step, as `constants_place.Choice` has it, sums, and where the cycles come from, `cycle_model`;
    nothing where nothing was chosen."""
    if not choices:
        return ()
    made = table(("step", "layer", "constants in"), ("bytes", *(f"{place} cycles" for place in _PLACES.values())))
    for choice in choices:
        costs = choice["cycles"]
        made.add_row(
            str(choice["step"]),
            choice["name"],
            _PLACES[choice["residence"]],
            f"{choice['size_bytes']:,}",
            *(f"{costs[place]:,}" if place in costs else "-" for place in _PLACES),
        )
    now = sum(choice["cycles"][choice["residence"]] for choice in choices)
    in_flash = sum(choice["cycles"]["flash"] for choice in choices)
    made.add_section()
    made.add_row("", "in all", "", f"{sum(c['size_bytes'] for c in choices):,}", f"{in_flash:,}", "", "")
    chosen = f"As chosen: {now:,} cycles, {in_flash - now:,} fewer than all in flash."
    return "", Text(_NOTE), "", made, Text("\n".join((chosen, *_forms(choices), f"cycles: {cycle_model}")))


def _forms(choices: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for every step whose kernel has another form here than on any board: the first of its forms."""
    for choice in choices:
        form, cycles, code = choice["form"], choice["form_cycles"], choice["form_code_bytes"]
        usual = next(iter(cycles), None)
        if form != usual:
            here, there = (f"{cycles[name]:,} cycles, {code[name]:,} B of code" for name in (form, usual))
            yield f"Step {choice['step']}: {form}, predicted {here}; {usual} {there}."
