"""Accumulators to int8 without a long multiplication: 32-bit arithmetic only, solved and proved per channel.

TFLM's function of an accumulator x is a staircase from a lowest to a highest value: all its steps lie in a window
[start, start + span]. With y = x - start, cut to [0, span], a kernel computes::

    (offset + y * high + (y * low >> low_bits) + (y >= zero ? tie : 0)) >> 24

Since y * high is whole, that is ``(offset + (y * F >> low_bits) + ...) >> 24`` with F = (high << low_bits) + low: a
staircase on a straight line as fine as a product of 64 bits would give, for two multiplications that fit 32 bits.
Cutting y makes the clamp of the result superfluous. The last term is there only where TFLM's ties, which round away
from zero, bend the line at x = 0; with ReLU they clamp anyway.

Two staircases are equal if every step lies at the same place, so F and offset are sought such that each does; a
solution is a proof. Where a channel has none, its layer takes TFLM's own steps.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from tinydeploy.fixedpoint import IntArray, wrap_int32
from tinydeploy.kernels.base import Constant, Shape, requant_shape
from tinydeploy.ops.base import Requant
from tinydeploy.requant_solver import accumulator_range, exact, exact_steps

_SHIFT = 24  # 256 levels fill the 32 bits
_SPAN_BITS = 16  # of the span in its unit, which shares a word with `low`
# Bits of `low` and of the span's unit, few choices so that layers share code: y * low must fit 32 bits.
_FORMS = ((14, 2), (12, 4), (16, 0))
# How far from the exact slope a factor is tried, nearest first.
_CANDIDATES = np.array(
    sorted({sign * step for step in (*range(48), *(3 << i for i in range(5, 24))) for sign in (1, -1)}, key=abs),
    dtype=np.int64,
)


@dataclass(frozen=True, slots=True, eq=False)
class WindowRequant:
    """The requantization of a layer on a core without long multiplication: `shape` for its template, `constant`."""

    shape: Shape
    constant: Constant


@dataclass(frozen=True, slots=True)
class _Line:
    """A channel's solution."""

    start: int
    span: int
    factor: int
    offset: int
    zero: int
    tie: int


def window_requant(requant: Requant, matrix: IntArray, bias: IntArray) -> WindowRequant:
    """`matrix` is (channels, taps) and `bias` has the input's zero point folded in, so inputs lie in [-128, 127]."""
    least, most = accumulator_range(matrix, bias, -128, 127)
    steps = exact_steps(requant, least, most)
    if steps is not None:
        for bent, (low_bits, unit_bits) in itertools.product((False, True), _FORMS):
            lines = _solve(requant, least, most, steps, low_bits, unit_bits, bent)
            if lines is not None:
                return _tabulate(bias, lines, low_bits, unit_bits, bent)
    table = np.stack([wrap_int32(bias), requant.mantissa, requant.shift], axis=1)
    return WindowRequant({"requant": "general", **requant_shape(requant)}, Constant("channels", "td_channel", table))


def _tabulate(bias: IntArray, lines: list[_Line], low_bits: int, unit_bits: int, bent: bool) -> WindowRequant:
    """Solved channels as the C structs td_window_channel or td_bent_channel."""
    start, span, factor, offset, zero, tie = (
        np.array([getattr(line, name) for line in lines], np.int64) for name in _Line.__slots__
    )
    low = factor & ((1 << low_bits) - 1)
    columns = [
        wrap_int32(bias - start),
        offset,
        wrap_int32(factor >> low_bits),
        wrap_int32(low << 16 | span >> unit_bits),
    ]
    if bent:
        columns += [zero, tie]
    return WindowRequant(
        {
            "requant": "bent" if bent else "window",
            "low_bits": low_bits,
            "unit_bits": unit_bits,
        },
        Constant("channels", "td_bent_channel" if bent else "td_window_channel", np.stack(columns, axis=1)),
    )


def _solve(
    requant: Requant, least: IntArray, most: IntArray, steps: IntArray, low_bits: int, unit_bits: int, bent: bool
) -> list[_Line] | None:
    """Every channel's line; None if some channel has none."""
    levels = np.arange(requant.act_min + 1, requant.act_max + 1, dtype=np.int64)
    bottom = exact(requant, least[:, None])[:, 0]
    inside = (steps > least[:, None]) & (steps <= most[:, None])
    lines = []
    for channel, rises in enumerate(inside):
        if not rises.any():
            # Any start and a span of 0: y is 0.
            lines.append(_Line(0, 0, 0, int(bottom[channel]) << _SHIFT, 0, 0))
            continue
        right = -int(requant.shift[channel])
        span = int(steps[channel, rises].max() - steps[channel, rises].min()) + 1
        units = -(-span >> unit_bits)
        if units.bit_length() > min(_SPAN_BITS, 32 - low_bits - unit_bits):
            return None
        line = _line(
            steps[channel, rises],
            levels[rises],
            float(requant.mantissa[channel]) * 2.0 ** (-31 - right),
            units << unit_bits,
            low_bits,
            (1 << (_SHIFT - right)) if bent and 0 <= right <= _SHIFT else 0,
        )
        if line is None:
            return None
        lines.append(line)
    return lines


def _line(steps: IntArray, levels: IntArray, ratio: float, span: int, low_bits: int, tie: int) -> _Line | None:
    """The line of one channel, whose level levels[i] begins at the accumulator steps[i].

    At a step, offset + height >= level << SHIFT, and one accumulator before it less: an interval of offsets per level.
    Before the first step stands the level below, and at the span's end still the last one.
    """
    start = int(steps[0]) - 1
    zero = -start
    if ratio * 2.0 ** (low_bits + _SHIFT) >= 2.0 ** (31 + low_bits):
        return None
    factors = round(ratio * 2.0 ** (low_bits + _SHIFT)) + _CANDIDATES
    factors = factors[factors >= 0][:, None]

    def height(y: IntArray) -> IntArray:
        return (y * factors >> low_bits) + np.where(y >= zero, tie, 0)

    at = steps - start
    goals = levels << _SHIFT
    ends = np.array([0, span], np.int64)
    outer = np.array([levels[0] - 1, levels[-1] + 1], np.int64) << _SHIFT
    heights = height(ends)
    lowest = np.maximum((goals - height(at)).max(axis=1), outer[0] - heights[:, 0])
    highest = np.minimum((goals - 1 - height(at - 1)).min(axis=1), outer[1] - 1 - heights[:, 1])
    good = np.flatnonzero(lowest <= highest)
    if not len(good):
        return None
    first = int(good[0])
    offset = int(lowest[first] + highest[first]) >> 1
    return _Line(start, span, int(factors[first, 0]), offset, zero, tie)
