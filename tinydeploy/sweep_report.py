"""Sweeps and fits as tables, JSON and a plot: cost over alpha, a line per architecture and input size."""

from __future__ import annotations

import html
import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.arithmetic import Estimate
from tinydeploy.boards import Board
from tinydeploy.sweep import Fitting, Refused, facts
from tinydeploy.tables import table

_COLUMNS = ("MACs", "parameters", "instructions", "ms", "arena B", "RAM B", "flash B")
# Colours that keep apart in light and dark, also for the colour-blind (after Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")
_PANELS: tuple[tuple[str, Callable[[Estimate], float], Callable[[Board], float | None]], ...] = (
    ("latency in ms", lambda one: one.latency_ms, lambda board: None),
    ("RAM in KiB", lambda one: one.firmware_ram_bytes / 1024, lambda board: board.ram.size_bytes / 1024),
    ("flash in KiB", lambda one: one.firmware_flash_bytes / 1024, lambda board: board.flash.size_bytes / 1024),
)
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _GAP = 250, 260, 60, 40, 50, 80


def sweep_json(points: Sequence[Estimate | Refused]) -> str:
    """A list with an entry for each network."""
    return json.dumps([facts(point) for point in points], indent=2) + "\n"


def fitting_json(fitting: Fitting) -> str:
    """The networks found, the largest first, and what was asked."""
    limits = {name: getattr(fitting.limits, name) for name in ("latency_ms", "ram_bytes", "flash_bytes")}
    stated = {"board": fitting.board, "limits": limits, "none": fitting.none, "tried": fitting.tried}
    return json.dumps({**stated, "found": [facts(one) for one in fitting.found]}, indent=2) + "\n"


def sweep_report(points: Sequence[Estimate | Refused], board: Board) -> RenderableType:
    """A row per network, refused ones with their reasons below; rho is the input size as a share of the largest."""
    rows = table(("network",), ("alpha", "input", "rho", *_COLUMNS, "fits"))
    largest = max(point.spec.input_size for point in points)
    for point in points:
        size = (f"{point.spec.alpha:g}", point.spec.size_text, f"{point.spec.input_size / largest:.2f}")
        if isinstance(point, Refused):
            rows.add_row(_network(point), *size, *[""] * len(_COLUMNS), "no")
        else:
            rows.add_row(_network(point), *size, *_figures(point), "yes" if point.fits else "no")
    reasons = [f"{point.spec.name}: {point.reason}" for point in points if isinstance(point, Refused)]
    return Group(rows, "", Text("\n".join([_note(board), *reasons])))


def fitting_report(fitting: Fitting, board: Board) -> RenderableType:
    """The winner in words, then a row for each architecture."""
    rows = table(("network",), ("alpha", "input", *_COLUMNS))
    for one in fitting.found:
        rows.add_row(_network(one), f"{one.spec.alpha:g}", one.spec.size_text, *_figures(one))
    best = fitting.found[0]
    options = "".join(f" --{name} {value}" for name, value in best.spec.options)
    lines = [
        f"the largest by MACs within {fitting.limits.text(board)}: --arch {best.spec.arch} --alpha {best.spec.alpha:g} "
        f"--input-size {best.spec.size_text}{options}",
        *([f"none fits of {', '.join(fitting.none)}"] if fitting.none else []),
        _note(board),
    ]
    return Group(rows, "", Text("\n".join(lines)))


def _note(board: Board) -> str:
    return (
        f"{board.name}: predicted before training; RAM and flash with all firmware, of {board.ram.size_bytes:,} B and "
        f"{board.flash.size_bytes:,} B"
    )


def _network(point: Estimate | Refused) -> str:
    return " ".join([point.spec.arch, *(f"{name} {value}" for name, value in point.spec.options)])


def _figures(one: Estimate) -> list[str]:
    whole = (one.arena_bytes, one.firmware_ram_bytes, one.firmware_flash_bytes)
    return [
        *(f"{n:,}" for n in (one.macs, one.parameters, one.instructions)),
        f"{one.latency_ms:.2f}",
        *(f"{n:,}" for n in whole),
    ]


def sweep_svg(points: Sequence[Estimate | Refused], board: Board) -> str:
    """Latency, RAM and flash over alpha on logarithmic scales; dashed lines are what the board has."""
    series: dict[str, list[Estimate]] = defaultdict(list)
    for point in points:
        if isinstance(point, Estimate):
            series[f"{_network(point)}, {point.spec.size_text}"].append(point)
    for line in series.values():
        line.sort(key=lambda one: one.spec.alpha)
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(series)}
    panels = [_panel(i, series, colours, *panel, board) for i, panel in enumerate(_PANELS)]
    legend_top = _TOP + _HEIGHT + _BOTTOM
    legend = [
        f'<rect x="{_LEFT}" y="{legend_top + 18 * i}" width="14" height="4" fill="{colours[name]}"/>'
        f'<text x="{_LEFT + 20}" y="{legend_top + 18 * i + 6}">{html.escape(name)}</text>'
        for i, name in enumerate(series)
    ]
    width = _LEFT + len(_PANELS) * (_WIDTH + _GAP)
    height = legend_top + 18 * len(series) + 10
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'font-family="sans-serif" font-size="12">',
            "<style>svg{background:#fff} text{fill:#222} .grid{stroke:#ddd} .limit{stroke:#222;stroke-dasharray:5 4} "
            "@media(prefers-color-scheme:dark){svg{background:#181818} text{fill:#ddd} .grid{stroke:#3a3a3a} "
            ".limit{stroke:#ddd}}</style>",
            f"<title>Predicted cost on {html.escape(board.name)} over the width multiplier alpha</title>",
            *panels,
            *legend,
            "</svg>",
            "",
        ]
    )


def _panel(
    number: int,
    series: dict[str, list[Estimate]],
    colours: dict[str, str],
    title: str,
    value: Callable[[Estimate], float],
    limit: Callable[[Board], float | None],
    board: Board,
) -> str:
    values = [value(one) for line in series.values() for one in line]
    alphas = sorted({one.spec.alpha for line in series.values() for one in line})
    most = limit(board)
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    high = max(high, low + 1)
    left = _LEFT + number * (_WIDTH + _GAP)

    def x(alpha: float) -> float:
        span = alphas[-1] - alphas[0]
        return round(left + (_WIDTH * (alpha - alphas[0]) / span if span else _WIDTH / 2), 1)

    def y(amount: float) -> float:
        return round(_TOP + _HEIGHT * (1 - (math.log10(amount) - low) / (high - low)), 1)

    parts = [f'<text x="{left}" y="{_TOP - 14}" font-weight="bold">{title}</text>']
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(f'<line class="grid" x1="{left}" y1="{at}" x2="{left + _WIDTH}" y2="{at}"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4}" text-anchor="end">{10.0**power:g}</text>')
    for alpha in alphas:
        parts.append(f'<text x="{x(alpha)}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{alpha:g}</text>')
    parts.append(f'<text x="{left + _WIDTH / 2}" y="{_TOP + _HEIGHT + 36}" text-anchor="middle">alpha</text>')
    if most is not None and 10.0**low <= most <= 10.0**high:
        parts.append(f'<line class="limit" x1="{left}" y1="{y(most)}" x2="{left + _WIDTH}" y2="{y(most)}"/>')
    for name, line in series.items():
        points = " ".join(f"{x(one.spec.alpha)},{y(value(one))}" for one in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        for one in line:
            hollow = "" if one.fits else ' fill-opacity="0"'
            label = html.escape(f"{one.spec.name}: {value(one):.3g}")
            parts.append(
                f'<circle cx="{x(one.spec.alpha)}" cy="{y(value(one))}" r="4" fill="{colours[name]}"{hollow} '
                f'stroke="{colours[name]}"><title>{label}</title></circle>'
            )
    return "\n".join(parts)
