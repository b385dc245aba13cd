"""The order in which a depthwise kernel walks a row: column by column, each feeding every output that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """What a column does for one output: multiply by kernel column `tap` into accumulator `acc`."""

    acc: int
    tap: int
    first: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the padded row: of the input, or of padding; an output is finished by at most one use."""

    inside: bool
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class RowSchedule:
    """`before`, then `body` `repeats` times, then `after`; `accumulators` outputs are open at once."""

    accumulators: int
    before: tuple[Column, ...]
    body: tuple[Column, ...]
    repeats: int
    after: tuple[Column, ...]


def row_schedule(in_w: int, out_w: int, kernel_w: int, stride_w: int, pad_w: int) -> RowSchedule:
    """Sliding columns over a row with `pad_w` columns of padding at the left. Needs stride_w <= kernel_w."""
    accumulators = min(-(-kernel_w // stride_w), out_w)  # no more are declared than a narrow output uses
    columns = []
    for at in range((out_w - 1) * stride_w + kernel_w):
        uses = []
        for out in range(max(0, -(-(at - kernel_w + 1) // stride_w)), min(out_w - 1, at // stride_w) + 1):
            tap = at - out * stride_w
            uses.append(Use(out % accumulators, tap, tap == 0, tap == kernel_w - 1))
        columns.append(Column(0 <= at - pad_w < in_w, tuple(uses)))
    return _fold(accumulators, columns, accumulators * stride_w)


def _fold(accumulators: int, columns: Sequence[Column], period: int) -> RowSchedule:
    """Find the longest stretch that repeats with `period`, and make it a loop where it repeats at least twice."""
    best = (0, 0)  # repeats, start
    for start in range(min(len(columns), 2 * period)):
        body = columns[start : start + period]
        repeats = 1
        while columns[start + repeats * period : start + (repeats + 1) * period] == body:
            repeats += 1
        if len(body) == period and repeats > best[0]:
            best = (repeats, start)
    repeats, start = best
    if repeats < 2:
        return RowSchedule(accumulators, tuple(columns), (), 0, ())
    end = start + repeats * period
    return RowSchedule(
        accumulators, tuple(columns[:start]), tuple(columns[start : start + period]), repeats, tuple(columns[end:])
    )
