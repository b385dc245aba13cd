"""What changed between two builds, as tables for a terminal, as Markdown for a pull request, as JSON for programs."""

from __future__ import annotations

import dataclasses
import json

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.diff import Diff, LayerRow, change_text, percent
from tinydeploy.figures import Figures
from tinydeploy.latency import origins
from tinydeploy.tables import table

TITLES = ("old", "new")


def diff_report(diff: Diff, titles: tuple[str, str] = TITLES) -> RenderableType:
    """The tables; `titles` are what the two builds are called."""
    made = table(("",), (*titles, "change"))
    for cells in _rows(diff):
        made.add_row(*cells)
    parts: list[RenderableType] = [Text(_heading(diff, titles)), "", made]
    if _timed(diff):
        layers = table(("layer", "op"), (*(f"cycles, {title}" for title in titles), "change"))
        for row in diff.layers:
            layers.add_row(*_layer(row))
        parts += ["", layers]
    notes = [*_origins(diff, titles), *(f"fails  {failure.text}" for failure in diff.failures)]
    return Group(*parts, "", *map(Text, notes))


def diff_markdown(diff: Diff) -> str:
    """The same as Markdown, with the layers folded away; what fails stands first."""
    lines = [f"### {_heading(diff, TITLES)}", ""]
    lines += [f"- :x: `{failure.limit.text}` {failure.text.split(': ', 1)[1]}" for failure in diff.failures]
    lines += [""] if diff.failures else []
    lines += [f"| | {TITLES[0]} | {TITLES[1]} | change |", "|---|---:|---:|---:|"]
    lines += [_line(cells) for cells in _rows(diff)]
    for origin in _origins(diff, TITLES):
        lines += ["", origin]
    if _timed(diff):
        lines += ["", "<details><summary>Layers</summary>", ""]
        lines += [f"| layer | op | cycles, {TITLES[0]} | cycles, {TITLES[1]} | change |", "|---|---|---:|---:|---:|"]
        lines += [_line(_layer(row)) for row in diff.layers]
        lines += ["", "</details>"]
    return "\n".join([*lines, ""])


def diff_json(diff: Diff) -> str:
    """Both builds' figures under their own names, the layers side by side, the limits that hold."""
    return (
        json.dumps(
            {
                "passed": not diff.failures,
                "failures": [{"limit": failure.limit.text, "text": failure.text} for failure in diff.failures],
                "old": dataclasses.asdict(diff.old),
                "new": dataclasses.asdict(diff.new),
                "layers": [dataclasses.asdict(row) for row in diff.layers],
            },
            indent=2,
        )
        + "\n"
    )


def _timed(diff: Diff) -> bool:
    """Whether either build tells the cycles of its layers."""
    return any(layer.cycles is not None for layer in (*diff.old.layers, *diff.new.layers))


def _heading(diff: Diff, titles: tuple[str, str]) -> str:
    old, new = (f"{figures.model} on {figures.board}" for figures in (diff.old, diff.new))
    return f"{titles[0]}, {titles[1]}: {new}" if old == new else f"{titles[0]}: {old}, {titles[1]}: {new}"


def _origins(diff: Diff, titles: tuple[str, str]) -> list[str]:
    return origins(zip(titles, (diff.old.cycle_model, diff.new.cycle_model), strict=True))


def _rows(diff: Diff) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (
            row.metric.name,
            *("-" if value is None else row.metric.text(value) for value in (row.old, row.new)),
            change_text(row),
        )
        for row in diff.rows
    ]
    exact = tuple(_exactness(figures) for figures in (diff.old, diff.new))
    return [*rows, ("outputs", *exact, "")] if exact != ("-", "-") else rows


def _exactness(figures: Figures) -> str:
    return {True: "all exact", False: "DIFFER", None: "-"}[figures.exact]


def _layer(row: LayerRow) -> tuple[str, ...]:
    layer = row.new or row.old
    assert layer is not None
    old, new = (None if side is None else side.cycles for side in (row.old, row.new))
    return layer.name, layer.op, *("-" if value is None else f"{value:,}" for value in (old, new)), percent(old, new)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
