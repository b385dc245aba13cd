"""Requantization in two instructions, solved and proved per channel at compile time.

TFLM's requantization of an accumulator is a chain of two roundings and a clamp; over the accumulators that a channel
can reach it is a monotone staircase with at most 255 steps. A kernel wants instead (SMMLA, then SSAT with a shift)::

    saturate8((offset + high32((x << scale) * factor)) >> shift)

with one `scale` and `shift` per layer and `factor`, `offset` per channel. Both are staircases, so they are equal
exactly if every step lies at the same accumulator. This module finds the steps of the first on TFLM's own arithmetic,
and then `factor` and `offset` that put the second's steps there, or reports that there are none; nothing is assumed, so
a solution is a proof. Callers fall back to the exact general form where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinydeploy.fixedpoint import IntArray, multiply_by_quantized_multiplier
from tinydeploy.ops.base import Requant

# The finest scale: kernels get 256 times the accumulator for nothing.
_MAX_SCALE = 8
_MAX_SHIFT = 22
# How far from the exact ratio a factor is tried.
_CANDIDATES = np.array(sorted(range(-48, 49), key=abs), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class FastRequant:
    """A solved layer: out = clamp(saturate8((offset + high32((x << scale) * factor)) >> shift))."""

    factor: IntArray
    offset: IntArray
    scale: int
    shift: int

    def apply(self, acc: IntArray, requant: Requant) -> IntArray:
        """The staircase itself, for tests; the last axis of `acc` runs over the channels."""
        high = ((acc << self.scale) * self.factor) >> 32
        return np.clip(np.clip((self.offset + high) >> self.shift, -128, 127), requant.act_min, requant.act_max)


def accumulator_range(
    weights: IntArray, bias: IntArray, low: IntArray | int, high: IntArray | int
) -> tuple[IntArray, IntArray]:
    """Smallest and largest accumulator of each channel; `weights` is (channels, taps), inputs minus their zero point
    lie in [low, high] (which must hold 0 where a window can leave the input)."""
    least = np.minimum(weights * low, weights * high).sum(axis=1) + bias
    most = np.maximum(weights * low, weights * high).sum(axis=1) + bias
    return least, most


def solve(requant: Requant, least: IntArray, most: IntArray) -> FastRequant | None:
    """Factors and offsets equal to `requant` on every accumulator from `least` to `most`, or None if some channel has
    none."""
    channels = len(least)
    steps = _steps(requant, least, most)
    if steps is None:
        return None
    ratios = requant.mantissa.astype(np.float64) * 2.0 ** (requant.shift.astype(np.float64) - 31)
    # A channel without a step inside its range is a constant and needs no factor.
    bottom = _exact(requant, least[:, None])[:, 0]
    constant = bottom == _exact(requant, most[:, None])[:, 0]
    reach = int(np.maximum(-least, most)[~constant].max(initial=0))
    scale = min(_MAX_SCALE, 31 - (reach + 1).bit_length())
    if scale < 0:
        return None
    bits = 32 - scale  # high32((x << scale) * factor) is x * factor >> bits
    largest = float(ratios[~constant].max(initial=0.0))
    shift = _MAX_SHIFT
    while shift > 0 and largest * 2.0 ** (bits + shift) >= 2.0**31 - 64:
        shift -= 1
    if largest * 2.0 ** (bits + shift) >= 2.0**31 - 64:
        return None
    factor, offset = np.zeros(channels, np.int64), np.zeros(channels, np.int64)
    levels = np.arange(requant.act_min + 1, requant.act_max + 1, dtype=np.int64)
    for channel in range(channels):
        if constant[channel]:
            offset[channel] = int(bottom[channel]) << shift
            continue
        found = _solve_channel(
            steps[channel], levels, int(least[channel]), int(most[channel]), ratios[channel], bits, shift
        )
        if found is None:
            return None
        factor[channel], offset[channel] = found
    return FastRequant(factor, offset, scale, shift)


def _exact(requant: Requant, x: IntArray) -> IntArray:
    """TFLM's function; row i of `x` holds accumulators of channel i."""
    scaled = multiply_by_quantized_multiplier(x, requant.mantissa[:, None], requant.shift[:, None])
    return np.clip(scaled + requant.zero_point, requant.act_min, requant.act_max)


def _steps(requant: Requant, least: IntArray, most: IntArray) -> IntArray | None:
    """For each channel and each level above the lowest, the smallest accumulator that reaches it (one past `most`
    where none does), by bisection on TFLM's own function; None where that function is not monotone (it wraps)."""
    left = np.maximum(requant.shift, 0)
    reach = np.maximum(np.abs(least), np.abs(most))
    if np.any(reach.astype(object) << left.astype(object) >= 1 << 31):
        return None
    levels = np.arange(requant.act_min + 1, requant.act_max + 1, dtype=np.int64)[None, :]
    below = np.broadcast_to(least[:, None] - 1, (len(least), levels.shape[1])).copy()
    reached = np.broadcast_to(most[:, None] + 1, below.shape).copy()
    # Start from the real-valued inverse, which is right to a few units, so that bisection has little left to do.
    ratios = np.maximum(requant.mantissa, 1) * 2.0 ** (requant.shift.astype(np.float64) - 31)
    guess = np.clip((levels - requant.zero_point - 0.5) / ratios[:, None], -(2.0**40), 2.0**40).astype(np.int64)
    for probe in (guess - 4, guess + 4):
        inside = (probe > below) & (probe < reached)
        hit = _exact(requant, np.where(inside, probe, least[:, None])) >= levels
        reached = np.where(inside & hit, probe, reached)
        below = np.where(inside & ~hit, probe, below)
    while np.any(reached - below > 1):
        middle = (below + reached) >> 1
        hit = _exact(requant, np.clip(middle, least[:, None], most[:, None])) >= levels
        open_ = reached - below > 1
        reached = np.where(open_ & hit, middle, reached)
        below = np.where(open_ & ~hit, middle, below)
    return reached


def _solve_channel(
    steps: IntArray, levels: IntArray, least: int, most: int, ratio: float, bits: int, shift: int
) -> tuple[int, int] | None:
    """`factor` and `offset` of one channel. A step at s for level v asks offset + h(s) >= v << shift, and
    offset + h(s - 1) < v << shift, with h(x) = x * factor >> bits: an interval of offsets per level."""
    centre = round(ratio * 2.0 ** (bits + shift))
    factors = centre + _CANDIDATES
    factors = factors[(factors >= 0) & (factors < 1 << 31)]
    goal = levels << shift
    rises = steps <= most  # the level is reached within the range
    holds = steps > least  # the level is not reached at the range's start
    with_high = goal[None, rises] - ((steps[None, rises] * factors[:, None]) >> bits)
    with_low = goal[None, holds] - (((steps[None, holds] - 1) * factors[:, None]) >> bits) - 1
    lowest = with_high.max(axis=1, initial=-(1 << 30))
    highest = with_low.min(axis=1, initial=1 << 30)
    good = np.flatnonzero(lowest <= highest)
    if not len(good):
        return None
    first = int(good[0])
    return int(factors[first]), int((lowest[first] + highest[first]) >> 1)
