"""A board's measurement beside what the virtual board predicts for the same image: one TOML per model and board.

Plain enough to read, to compare and to share; docs/MEASUREMENTS.md describes the keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy import __version__
from tinydeploy.bench import Layer, Measurement
from tinydeploy.tables import table

FORMAT = 1
_HEADER = "# From `tinydeploy bench PORT --save`: what a board measured, and what the virtual board predicts.\n"

Value = str | int | float


def measured_toml(measured: Measurement, predicted: Measurement) -> str:
    """Both as TOML. They are of the same build."""
    assert measured.fingerprint == predicted.fingerprint
    facts: dict[str, Value] = {
        "format": FORMAT,
        "tool_version": __version__,
        "board": measured.board,
        "core": measured.core,
        "core_hz": measured.core_hz,
        "model": measured.model,
        "model_sha256": measured.model_sha256,
        "fingerprint": measured.fingerprint,
        "macs": measured.macs,
        "exact": measured.exact,
    }
    hz = measured.core_hz / 1e6
    tables: list[tuple[str, dict[str, Value]]] = [
        (
            "[measured]",
            {
                "samples": measured.samples,
                "cycles": measured.cycles,
                "cycles_min": round(measured.latency_min_us * hz),
                "cycles_max": round(measured.latency_max_us * hz),
                "stack_bytes": measured.stack_bytes,
            },
        ),
        (
            "[predicted]",
            {
                "cycle_model": predicted.cycle_model,
                "cycles": predicted.cycles,
                "instructions": predicted.instructions or 0,
                "stack_bytes": predicted.stack_bytes,
            },
        ),
        *(("[[layer]]", _layer(m, p)) for m, p in zip(measured.per_layer, predicted.per_layer, strict=True)),
    ]
    return _HEADER + _lines(facts.items()) + "".join(f"\n{name}\n{_lines(keys.items())}" for name, keys in tables)


def comparison_report(measured: Measurement, predicted: Measurement) -> RenderableType:
    """How far the prediction is from the board, layer by layer."""
    made = table(("layer", "op"), ("measured", "predicted", "error"))
    for m, p in zip(measured.per_layer, predicted.per_layer, strict=True):
        made.add_row(m.name, m.op, *_compared(m.cycles, p.cycles))
    made.add_section()
    made.add_row("in all", "", *_compared(measured.cycles, predicted.cycles))
    return Group("", made, "", Text(f"cycles; predicted: {predicted.cycle_model}"))


def _compared(measured: int | None, predicted: int | None) -> tuple[str, str, str]:
    if not measured or predicted is None:
        return "-", "-" if predicted is None else f"{predicted:,}", "-"
    return f"{measured:,}", f"{predicted:,}", f"{100 * (predicted / measured - 1):+.1f} %"


def _layer(measured: Layer, predicted: Layer) -> dict[str, Value]:
    """What is not known is left out: TOML has no null."""
    keys: dict[str, Value | None] = {
        "name": measured.name,
        "op": measured.op,
        "macs": measured.macs,
        "measured_cycles": measured.cycles,
        "predicted_cycles": predicted.cycles,
        "predicted_instructions": predicted.instructions,
    }
    return {key: value for key, value in keys.items() if value is not None}


def _lines(items: Iterable[tuple[str, Value]]) -> str:
    """Keys and values; a string of JSON, without characters beyond ASCII, is one of TOML too."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in items)
