"""A sweep as a drawing (SVG): cost over alpha, or what trained networks reach over what they cost."""

from __future__ import annotations

import html
import math
import textwrap
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tinydeploy.arithmetic import Estimate
from tinydeploy.boards import Board
from tinydeploy.latency import origins
from tinydeploy.pareto import front
from tinydeploy.sweep_report import Points, Scores, network_text, shown_score
from tinydeploy.sweep_train import Score

# Colours that keep apart in light and dark, also for the colour-blind (after Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")
_NOTE_LETTERS = 150  # of the text below, in a line
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _GAP = 250, 260, 60, 40, 50, 80
_STYLE = (
    "<style>svg{background:#fff} text{fill:#222} .grid{stroke:#ddd} .limit{stroke:#222;stroke-dasharray:5 4} "
    ".front{stroke:#222;fill:none} @media(prefers-color-scheme:dark){svg{background:#181818} text{fill:#ddd} "
    ".grid{stroke:#3a3a3a} .limit,.front{stroke:#ddd}}</style>"
)


@dataclass(frozen=True, slots=True)
class Cost:
    """A cost of networks: its title with the unit, its value, and what a board has of it."""

    title: str
    value: Callable[[Estimate], float]
    limit: Callable[[Board], float | None]


_COSTS = (
    Cost("latency in ms", lambda one: one.latency_ms, lambda board: None),
    Cost("RAM in KiB", lambda one: one.firmware_ram_bytes / 1024, lambda board: board.ram.size_bytes / 1024),
    Cost("flash in KiB", lambda one: one.firmware_flash_bytes / 1024, lambda board: board.flash.size_bytes / 1024),
)
# A network with what it reaches, where it was trained.
_Series = Mapping[str, Sequence[tuple[Estimate, Score | None]]]


def sweep_svg(points: Points, board: Board, scores: Scores = ()) -> str:
    """Three panels. Untrained: latency, RAM and flash over alpha on logarithmic scales. Trained: the score over each of
    them, the best for the cost joined by a line. Dashed lines are what the board has, hollow points do not fit it."""
    series: dict[str, list[tuple[Estimate, Score | None]]] = defaultdict(list)
    for point, score in zip(points, scores or [None] * len(points), strict=True):
        if isinstance(point, Estimate):
            series[f"{network_text(point.spec)}, {point.spec.size_text}"].append((point, score))
    for line in series.values():
        line.sort(key=lambda one: one[0].spec.alpha)
    draw = _score_panel if scores else _cost_panel
    panels = [draw(_LEFT + i * (_WIDTH + _GAP), series, cost, board) for i, cost in enumerate(_COSTS)]
    subject = "Scores of trained networks over their predicted cost" if scores else "Predicted cost over alpha"
    legend_top = _TOP + _HEIGHT + _BOTTOM
    made = origins((one.board, one.cycle_model) for line in series.values() for one, _ in line)
    notes = [part for text in made for part in textwrap.wrap(text, _NOTE_LETTERS)]
    notes_top = legend_top + 18 * len(series) + 6
    width, height = _LEFT + len(_COSTS) * (_WIDTH + _GAP), notes_top + 16 * len(notes) + 10
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'font-family="sans-serif" font-size="12">',
            _STYLE,
            f"<title>{subject} on {html.escape(board.name)}</title>",
            *panels,
            *(_legend(i, name, legend_top + 18 * i) for i, name in enumerate(series)),
            *(f'<text x="{_LEFT}" y="{notes_top + 16 * i}">{html.escape(note)}</text>' for i, note in enumerate(notes)),
            "</svg>",
            "",
        ]
    )


def _legend(number: int, name: str, top: int) -> str:
    return (
        f'<rect x="{_LEFT}" y="{top}" width="14" height="4" fill="{_colour(number)}"/>'
        f'<text x="{_LEFT + 20}" y="{top + 6}">{html.escape(name)}</text>'
    )


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


@dataclass(frozen=True, slots=True)
class _Axes:
    """A panel's left edge, and where values are along its axes: 0 at the left and the bottom, 1 at the other end."""

    left: int
    across: Callable[[float], float]
    up: Callable[[float], float]

    def x(self, value: float) -> float:
        """Pixels from the drawing's left."""
        return round(self.left + _WIDTH * self.across(value), 1)

    def y(self, value: float) -> float:
        """Pixels from the drawing's top."""
        return round(_TOP + _HEIGHT * (1 - self.up(value)), 1)


def _linear(low: float, high: float) -> Callable[[float], float]:
    return lambda value: (value - low) / (high - low) if high > low else 0.5


def _logarithmic(low: int, high: int) -> Callable[[float], float]:
    """From one power of ten to another."""
    return lambda value: (math.log10(value) - low) / (high - low)


def _cost_panel(left: int, series: _Series, cost: Cost, board: Board) -> str:
    """`cost` over alpha, a line for each series."""
    alphas = sorted({one.spec.alpha for line in series.values() for one, _ in line})
    low, high = _powers([cost.value(one) for line in series.values() for one, _ in line])
    axes = _Axes(left, _linear(alphas[0], alphas[-1]), _logarithmic(low, high))
    parts = _frame(axes, cost.title, _decades(low, high), {alpha: f"{alpha:g}" for alpha in alphas}, "alpha")
    if (most := _limit(cost, board, low, high)) is not None:
        parts.append(f'<line class="limit" x1="{left}" y1="{axes.y(most)}" x2="{left + _WIDTH}" y2="{axes.y(most)}"/>')
    for number, line in enumerate(series.values()):
        points = [(axes.x(one.spec.alpha), axes.y(cost.value(one))) for one, _ in line]
        joined = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{_colour(number)}" stroke-width="2"/>')
        parts += [
            _point(x, y, number, one, f"{cost.value(one):.3g}") for (x, y), (one, _) in zip(points, line, strict=True)
        ]
    return "\n".join(parts)


def _score_panel(left: int, series: _Series, cost: Cost, board: Board) -> str:
    """What networks reach over `cost`; the best for their cost among those that fit are joined."""
    reached = [
        (number, one, score) for number, line in enumerate(series.values()) for one, score in line if score is not None
    ]
    low, high = _powers([cost.value(one) for _, one, _ in reached])
    tenths = [score.int8_score * 10 for _, _, score in reached]
    bottom, top = math.floor(min(tenths)), math.ceil(max(tenths))
    top = max(top, bottom + 1)
    axes = _Axes(left, _logarithmic(low, high), _linear(bottom / 10, top / 10))
    measure = reached[0][2].measure
    rows = {
        tenth / 10: f"{10 * tenth} %" if measure == "accuracy" else f"{tenth / 10:g}"
        for tenth in range(bottom, top + 1)
    }
    parts = _frame(axes, f"{measure} over {cost.title}", rows, _decades(low, high), cost.title)
    if (most := _limit(cost, board, low, high)) is not None:
        x = axes.x(most)
        parts.append(f'<line class="limit" x1="{x}" y1="{_TOP}" x2="{x}" y2="{_TOP + _HEIGHT}"/>')
    fitting = sorted((cost.value(one), score.int8_score) for _, one, score in reached if one.fits)
    kept = front([(amount, -score) for amount, score in fitting])
    joined = " ".join(f"{axes.x(a)},{axes.y(s)}" for (a, s), best in zip(fitting, kept, strict=True) if best)
    parts.append(f'<polyline class="front" points="{joined}"/>')
    for number, one, score in reached:
        said = f"{shown_score(measure, score.int8_score)} at {cost.value(one):.3g}"
        parts.append(_point(axes.x(cost.value(one)), axes.y(score.int8_score), number, one, said))
    return "\n".join(parts)


def _powers(values: Sequence[float]) -> tuple[int, int]:
    """Powers of ten around `values`."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    return low, max(high, low + 1)


def _decades(low: int, high: int) -> dict[float, str]:
    """The labels of a logarithmic axis."""
    return {10.0**power: f"{10.0**power:g}" for power in range(low, high + 1)}


def _limit(cost: Cost, board: Board, low: int, high: int) -> float | None:
    """What `board` has of it, where that is between the two powers of ten."""
    most = cost.limit(board)
    return most if most is not None and 10.0**low <= most <= 10.0**high else None


def _frame(
    axes: _Axes, title: str, rows: Mapping[float, str], columns: Mapping[float, str], columns_title: str
) -> list[str]:
    """A panel without what is in it: its title, lines of the grid with the labels `rows`, the labels `columns`."""
    left, bottom = axes.left, _TOP + _HEIGHT
    parts = [f'<text x="{left}" y="{_TOP - 14}" font-weight="bold">{title}</text>']
    for value, text in rows.items():
        y = axes.y(value)
        parts.append(f'<line class="grid" x1="{left}" y1="{y}" x2="{left + _WIDTH}" y2="{y}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{text}</text>')
    for value, text in columns.items():
        parts.append(f'<text x="{axes.x(value)}" y="{bottom + 18}" text-anchor="middle">{text}</text>')
    parts.append(f'<text x="{left + _WIDTH / 2}" y="{bottom + 36}" text-anchor="middle">{columns_title}</text>')
    return parts


def _point(x: float, y: float, number: int, one: Estimate, said: str) -> str:
    """A network, filled where it fits the board."""
    hollow = "" if one.fits else ' fill-opacity="0"'
    return (
        f'<circle cx="{x}" cy="{y}" r="4" fill="{_colour(number)}"{hollow} stroke="{_colour(number)}">'
        f"<title>{html.escape(f'{one.spec.name}: {said}')}</title></circle>"
    )
