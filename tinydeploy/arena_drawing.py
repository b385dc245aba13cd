"""Drawings of an arena over time: text for any terminal or pipe, and SVG.

Time runs to the right, a column per step; addresses run upwards. A column has two halves: on the left what the step
finds (what it reads, what waits), on the right what it leaves. So an output that lies over its input shows as one
letter that follows another.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from tinydeploy.arena import ArenaMap, Span
from tinydeploy.kernels.base import ALIGNMENT, aligned

MARKS = string.ascii_lowercase + string.ascii_uppercase + string.digits
_COLUMNS = 80
_ROWS = 24
_MOST_PER_STEP = 8  # characters
# Colours of letters; neighbours in time differ. The letters alone say it all.
_COLORS = ("cyan", "yellow", "green", "magenta", "blue", "red", "bright_cyan", "bright_yellow", "bright_green")


def mark(number: int) -> str:
    """The letter of a span by its place in the map; they repeat after 62."""
    return MARKS[number % len(MARKS)]


@dataclass(frozen=True, slots=True)
class ArenaDrawing:
    """A rich renderable, at most 80 columns wide; models of many steps get several panels one below the other."""

    map: ArenaMap

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Letters in colours where the console has them; dots of free bytes as its encoding allows."""
        steps = len(self.map.steps)
        axis = max(len(f"{self.map.arena_bytes:,}"), len("step")) + 1
        room = max(min(options.max_width, _COLUMNS) - axis, 8)
        per_step = max(min(room // max(steps, 1), _MOST_PER_STEP), 2)
        per_panel = room // per_step
        free = "." if options.ascii_only else "·"
        for first in range(0, steps, per_panel):
            if first:
                yield Text("")
            yield from _panel(self.map, range(first, min(first + per_panel, steps)), per_step, axis, free)


def _panel(arena: ArenaMap, steps: range, per_step: int, axis: int, free: str) -> list[Text]:
    row_bytes = max(aligned(-(-arena.arena_bytes // _ROWS)), ALIGNMENT)
    lines = []
    for row in reversed(range(-(-arena.arena_bytes // row_bytes))):
        low = row * row_bytes
        line = Text(f"{low:>{axis - 1},} ", no_wrap=True)
        for step in steps:
            halves = ((per_step + 1) // 2, "before"), (per_step // 2, "after")
            for count, when in halves:
                held = _held(arena, step, low, low + row_bytes, after=when == "after")
                style = Style() if held is None else Style(color=_COLORS[held % len(_COLORS)])
                line.append((free if held is None else mark(held)) * count, style)
        line.rstrip()
        lines.append(line)
    return [*lines, *(Text(text, no_wrap=True) for text in _step_numbers(arena, steps, per_step, axis))]


def _held(arena: ArenaMap, step: int, low: int, high: int, *, after: bool) -> int | None:
    """The number of the span that has the most bytes of [low, high) before or after `step`; None where all are free.

    Before it outputs are not there yet, after it what it read last is gone; either shows where nothing else is.
    """

    def rank(number: int) -> tuple[bool, int]:
        span = arena.spans[number]
        written_here = span.first == step and span.kind in ("activation", "output")
        gone = span.last == step and span.kind in ("activation", "input")
        covered = min(high, span.end_bytes) - max(low, span.offset_bytes)
        return not (gone if after else written_here), covered

    found = [
        number
        for number, span in enumerate(arena.spans)
        if span.alive(step) and span.offset_bytes < high and low < span.end_bytes
    ]
    return max(found, key=rank, default=None)


def _step_numbers(arena: ArenaMap, steps: range, per_step: int, axis: int) -> list[str]:
    """The numbers of the steps, written downwards where two digits stand too close, and what the peak is."""
    digits = len(str(steps[-1]))
    upright = per_step <= digits
    rows = [str(step).rjust(digits) for step in steps] if upright else [str(step) for step in steps]
    texts = []
    for place in range(digits if upright else 1):
        cells = (row[place] if upright else row for row in rows)
        texts.append("".join(cell.ljust(per_step) for cell in cells))
    title = "step".ljust(axis)
    lines = [(title if number == 0 else " " * axis) + text.rstrip() for number, text in enumerate(texts)]
    if arena.peak_step in steps:
        peak = arena.steps[arena.peak_step]
        lines.append(" " * (axis + (peak.index - steps[0]) * per_step) + "^" * per_step)
        words = f"peak: step {peak.index}, {peak.used_bytes:,} of {arena.arena_bytes:,} B in use: {peak.name}"
        lines.append(words if len(words) <= _COLUMNS else f"{words[: _COLUMNS - 3]}...")
    return lines


_STEP_PX = 28
_HEIGHT_PX = 420
_LEFT_PX = 72
_TOP_PX = 16


def arena_svg(arena: ArenaMap, title: str) -> str:
    """An SVG image of the same; a pointer over a buffer shows its name, offset, size and steps."""
    steps, scale = len(arena.steps), _HEIGHT_PX / max(arena.arena_bytes, 1)
    width, height = _LEFT_PX + steps * _STEP_PX + 16, _TOP_PX + _HEIGHT_PX + 44
    bottom = _TOP_PX + _HEIGHT_PX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<rect x="{_LEFT_PX + arena.peak_step * _STEP_PX}" y="{_TOP_PX}" width="{_STEP_PX}" height="{_HEIGHT_PX}" '
        'fill="#f3e3c3"/>',
    ]
    for number, span in enumerate(arena.spans):
        begin, end = _times(arena.spans, span)
        x, w = _LEFT_PX + begin * _STEP_PX, (end - begin) * _STEP_PX
        y, h = bottom - span.end_bytes * scale, span.size_bytes * scale
        hue = number * 137 % 360  # the golden angle: neighbours differ
        said = f"{span.name}: {span.kind}, {span.size_bytes:,} B at {span.offset_bytes:,}, steps {_steps_text(span)}"
        parts.append(
            f'<rect x="{x:g}" y="{y:.2f}" width="{w:g}" height="{h:.2f}" fill="hsl({hue} 60% 72%)" '
            f'stroke="hsl({hue} 60% 35%)" stroke-width="0.7"><title>{escape(said)}</title></rect>'
        )
        if h >= 12:
            parts.append(f'<text x="{x + 3:g}" y="{y + h / 2 + 4:.2f}">{mark(number)}</text>')
    for step in arena.steps:
        x = _LEFT_PX + (step.index + 0.5) * _STEP_PX
        parts.append(
            f'<text x="{x:g}" y="{bottom + 14}" text-anchor="middle">{step.index}'
            f"<title>{escape(f'{step.name} ({step.op}): {step.used_bytes:,} B in use')}</title></text>"
        )
    for part in range(5):
        at = arena.arena_bytes * part // 4
        parts.append(f'<text x="{_LEFT_PX - 6}" y="{bottom - at * scale + 4:.2f}" text-anchor="end">{at:,}</text>')
    peak = arena.steps[arena.peak_step].used_bytes if arena.steps else 0
    words = f"{title}: {arena.arena_bytes:,} B; the most in use is {peak:,} B at step {arena.peak_step}"
    return "\n".join([*parts, f'<text x="{_LEFT_PX}" y="{bottom + 34}">{escape(words)}</text>', "</svg>", ""])


def _times(spans: Sequence[Span], span: Span) -> tuple[float, float]:
    """When a rectangle begins and ends, in steps: in the middle of a step in which another takes its bytes."""
    begin, end = float(span.first), float(span.last + 1)
    for other in spans:
        if other is not span and span.shares_bytes(other):
            if other.last == span.first and other.first < span.first + (other.kind == "input"):
                begin = span.first + 0.5
            if other.first == span.last and span.first < other.first + (span.kind == "input"):
                end = span.last + 0.5
    return begin, end


def _steps_text(span: Span) -> str:
    return str(span.first) if span.first == span.last else f"{span.first} to {span.last}"
