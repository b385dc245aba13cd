"""Sweeps and fits as tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.arithmetic import Estimate
from tinydeploy.boards import Board
from tinydeploy.latency import origins
from tinydeploy.sweep import Fitting, Refused, facts
from tinydeploy.sweep_train import Score
from tinydeploy.tables import table
from tinydeploy.zoo import ModelSpec

_TRAINED_COLUMNS = ("MACs", "ms", "RAM B", "flash B")
_COLUMNS = ("MACs", "parameters", "instructions", "ms", "arena B", "RAM B", "flash B")
Points = Sequence[Estimate | Refused]
# What each of the points reaches, None for one that was not trained; empty where none was.
Scores = Sequence[Score | None]


def sweep_json(points: Points, scores: Scores = ()) -> str:
    """A list with an entry for each network, and with what it reached where it was trained."""
    reached = scores or [None] * len(points)
    entries = [
        {**facts(point), **({"trained": asdict(one)} if one else {})}
        for point, one in zip(points, reached, strict=True)
    ]
    return json.dumps(entries, indent=2) + "\n"


def fitting_json(fitting: Fitting) -> str:
    """The networks found, the largest first, and what was asked."""
    limits = {name: getattr(fitting.limits, name) for name in ("latency_ms", "ram_bytes", "flash_bytes")}
    stated = {"board": fitting.board, "limits": limits, "none": fitting.none, "tried": fitting.tried}
    return json.dumps({**stated, "found": [facts(one) for one in fitting.found]}, indent=2) + "\n"


def sweep_report(points: Points, board: Board, scores: Scores = ()) -> RenderableType:
    """A row per network, refused ones with their reasons below; rho is the input size as a share of the largest."""
    reached = scores or [None] * len(points)
    measure = next((one.measure for one in reached if one is not None), "")
    columns = _TRAINED_COLUMNS if measure else _COLUMNS
    rows = table(("network",), ("alpha", "input", "rho", *columns, "fits", *((measure, "front") if measure else ())))
    largest = max(point.spec.input_size for point in points)
    for point, one in zip(points, reached, strict=True):
        size = (f"{point.spec.alpha:g}", point.spec.size_text, f"{point.spec.input_size / largest:.2f}")
        figures = [""] * len(columns) if isinstance(point, Refused) else _figures(point, columns)
        fits = "yes" if isinstance(point, Estimate) and point.fits else "no"
        score = (shown_score(one.measure, one.int8_score), "*" if one.on_front else "") if one else ("",) * 2
        rows.add_row(network_text(point.spec), *size, *figures, fits, *(score if measure else ()))
    notes = [
        _note(board),
        *origins((point.board, point.cycle_model) for point in points if isinstance(point, Estimate)),
    ]
    if measure:
        notes.append(
            f"{measure} of the int8 network on test samples; * is the Pareto front: no other that fits the board is as "
            "good in score, latency and RAM and better in one of them"
        )
    reasons = [f"{point.spec.name}: {point.reason}" for point in points if isinstance(point, Refused)]
    return Group(rows, "", Text("\n".join([*notes, *reasons])))


def shown_score(measure: str, score: float) -> str:
    """Accuracies in percent, an AUC as it is."""
    return f"{100 * score:.2f} %" if measure == "accuracy" else f"{score:.4f}"


def network_text(spec: ModelSpec) -> str:
    """The architecture with its options."""
    return " ".join([spec.arch, *(f"{name} {value}" for name, value in spec.options)])


def fitting_report(fitting: Fitting, board: Board) -> RenderableType:
    """The winner in words, then a row for each architecture."""
    rows = table(("network",), ("alpha", "input", *_COLUMNS))
    for one in fitting.found:
        rows.add_row(network_text(one.spec), f"{one.spec.alpha:g}", one.spec.size_text, *_figures(one))
    best = fitting.found[0]
    options = "".join(f" --{name} {value}" for name, value in best.spec.options)
    lines = [
        f"the largest by MACs within {fitting.limits.text(board)}: --arch {best.spec.arch} --alpha {best.spec.alpha:g} "
        f"--input-size {best.spec.size_text}{options}",
        *([f"none fits of {', '.join(fitting.none)}"] if fitting.none else []),
        _note(board),
        *origins([(best.board, best.cycle_model)]),
    ]
    return Group(rows, "", Text("\n".join(lines)))


def _note(board: Board) -> str:
    return (
        f"{board.name}: predicted before training; RAM and flash with all firmware, of {board.ram.size_bytes:,} B and "
        f"{board.flash.size_bytes:,} B"
    )


def _figures(one: Estimate, columns: Sequence[str] = _COLUMNS) -> list[str]:
    shown = {
        "MACs": f"{one.macs:,}",
        "parameters": f"{one.parameters:,}",
        "instructions": f"{one.instructions:,}",
        "ms": f"{one.latency_ms:.2f}",
        "arena B": f"{one.arena_bytes:,}",
        "RAM B": f"{one.firmware_ram_bytes:,}",
        "flash B": f"{one.firmware_flash_bytes:,}",
    }
    return [shown[column] for column in columns]
