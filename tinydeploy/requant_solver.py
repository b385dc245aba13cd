"""Requantization in two instructions, solved and proved per channel at compile time.

TFLM's requantization of an accumulator is a chain of two roundings and a clamp; over the accumulators that a channel
can reach it is a monotone staircase with at most 255 steps. A kernel wants instead (SMMLA, then SSAT with a shift)::

    saturate8((offset + high32(((x << scale) + nudge) * factor)) >> shift)

with one `scale`, `shift` and `offset` per layer, the offset almost always 0 (then it is SMMUL), and `factor` and
`nudge` per channel; the kernel adds `nudge` with the bias. Both are staircases, so they are equal exactly if every step
lies at the same accumulator. This module finds the steps of the first on TFLM's own arithmetic, and then `factor` and
`nudge` that put the second's steps there, or reports that there are none; nothing is assumed, so a solution is a proof.
Callers fall back to the exact general form where there is none.

With G = ((v << shift) - offset) << 32, level v is reached where ((x << scale) + nudge) * factor >= G. So a step at
x = s asks that nudge lies in [C - (s << scale), C - ((s - 1) << scale) - 1], C = ceil(G / factor): whatever the factor,
an interval as wide as one accumulator. A factor solves a channel if its levels' intervals have a nudge in common.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import INT32_MAX, INT32_MIN, IntArray, multiply_by_quantized_multiplier
from tinydeploy.ops.base import Requant

# The finest scale: kernels get 256 times the accumulator for nothing.
_MAX_SCALE = 8
_MAX_SHIFT = 22
# Tried first: layers of one shift share code. Factors are coarser than they could be, which rarely matters.
_USUAL_SHIFT = 10
# How far from the exact ratio a factor is tried: in a first round, and where that has no solution.
_NEAR = np.array([0, *(sign * (1 << step) for step in range(0, 20, 4) for sign in (1, -1))], np.int64)
_FAR = np.array([sign * (k << step) for step in range(19) for k in (1, 3) for sign in (1, -1)], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class FastRequant:
    """A solved layer: out = clamp(saturate8((offset + high32(((x << scale) + nudge) * factor)) >> shift)).

    The product's left side fits 32 bits; `nudge` alone need not, it wraps with the bias.
    """

    factor: IntArray
    nudge: IntArray
    offset: int
    scale: int
    shift: int

    def apply(self, acc: IntArray, requant: Requant) -> IntArray:
        """The staircase itself, for tests; the last axis of `acc` runs over the channels."""
        high = (((acc << self.scale) + self.nudge) * self.factor) >> 32
        return np.clip(np.clip((self.offset + high) >> self.shift, -128, 127), requant.act_min, requant.act_max)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A layer to solve: channels' accumulators lie from `least` to `most`, `steps` are those of TFLM's function for
    each channel and each of `levels`, whose G of the module's text are `goals`."""

    least: IntArray
    most: IntArray
    steps: IntArray
    goals: IntArray
    scale: int

    def needed(self, factors: IntArray) -> IntArray:
        """C of the module's text, a row per factor (above 0) and a column per level."""
        return -(-self.goals // factors[:, None])

    def nudges(self, channel: int, needed: IntArray) -> tuple[IntArray, IntArray]:
        """The smallest and the largest nudge of a channel with each factor that `needed` was made for."""
        least, most, steps = self.least[channel], self.most[channel], self.steps[channel]
        rises = steps <= most  # the level is reached within the range
        holds = steps > least  # the level is not reached at the range's start
        smallest = (needed - (steps << self.scale))[:, rises]
        largest = (needed - 1 - ((steps - 1) << self.scale))[:, holds]
        return (
            smallest.max(axis=1, initial=INT32_MIN - (least << self.scale)),
            largest.min(axis=1, initial=INT32_MAX - (most << self.scale)),
        )


def accumulator_range(
    weights: IntArray, bias: IntArray, low: IntArray | int, high: IntArray | int
) -> tuple[IntArray, IntArray]:
    """Smallest and largest accumulator of each channel; `weights` is (channels, taps), inputs minus their zero point
    lie in [low, high] (which must hold 0 where a window can leave the input)."""
    least = np.minimum(weights * low, weights * high).sum(axis=1) + bias
    most = np.maximum(weights * low, weights * high).sum(axis=1) + bias
    return least, most


def constant_value(requant: Requant, least: IntArray, most: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """The output at the range's start, and whether the channel has no other."""
    bottom = exact(requant, least[:, None])[:, 0]
    return bottom, _monotone(requant, least, most) & (bottom == exact(requant, most[:, None])[:, 0])


def _monotone(requant: Requant, least: IntArray, most: IntArray) -> NDArray[np.bool_]:
    """Whether a channel's left shift never wraps."""
    reach = np.maximum(np.abs(least), np.abs(most)).astype(np.float64)
    return reach * 2.0 ** np.maximum(requant.shift, 0) < 2.0**31


def solve(requant: Requant, least: IntArray, most: IntArray) -> FastRequant | None:
    """Factors and nudges equal to `requant` on every accumulator from `least` to `most`, or None if some channel has
    none."""
    steps = exact_steps(requant, least, most)
    if steps is None:
        return None
    _, constant = constant_value(requant, least, most)
    # Accumulators of a channel with few steps may be moved by its nudge, so the spread is what must fit; else all do.
    spread = int(((most - least + 1) >> 1).max(initial=0))
    reach = int(np.maximum(-least, most)[~constant].max(initial=spread))
    scales = [min(_MAX_SCALE, 31 - (size + 1).bit_length()) for size in (spread, max(spread, reach))]
    for scale in sorted(set(scales), reverse=True):
        solved = _solve_at(scale, requant, least, most, steps, constant) if scale >= 0 else None
        if solved is not None:
            return solved
    return None


def _solve_at(
    scale: int,
    requant: Requant,
    least: IntArray,
    most: IntArray,
    steps: IntArray,
    constant: NDArray[np.bool_],
) -> FastRequant | None:
    """The layer with this scale, if it has a solution."""
    ratios = requant.mantissa.astype(np.float64) * 2.0 ** (requant.shift.astype(np.float64) - 31)
    bits = 32 - scale  # high32((x << scale) * factor) is x * factor >> bits
    largest = float(ratios[~constant].max(initial=0.0))
    shift = _MAX_SHIFT
    while shift > 0 and largest * 2.0 ** (bits + shift) >= 2.0**31 - 64:
        shift -= 1
    if largest * 2.0 ** (bits + shift) >= 2.0**31 - 64:
        return None
    levels = np.arange(requant.act_min + 1, requant.act_max + 1, dtype=np.int64)
    # With the zero point and the half in the nudges no offset is left; where those get too large, it keeps both.
    forms = [(min(shift, _USUAL_SHIFT), 0), (shift, 0), (shift, (requant.zero_point << shift) + (1 << shift >> 1))]
    for at, (shift, offset) in enumerate(forms):
        if (shift, offset) in forms[:at]:
            continue
        centres = np.clip(np.round(ratios * 2.0 ** (bits + shift)), 1, INT32_MAX).astype(np.int64)
        shared = set(centres[~constant].tolist())
        layer = _Layer(least, most, steps, ((levels << shift) - offset) << 32, scale)
        found = _common_factor(layer, next(iter(shared))) if len(shared) == 1 else None
        found = found or _own_factors(layer, centres)
        if found is not None:
            return FastRequant(*found, offset, scale, shift)
    return None


def _factors(centre: int, deltas: IntArray) -> IntArray:
    factors = centre + deltas
    return factors[(factors > 0) & (factors <= INT32_MAX)]


def _common_factor(layer: _Layer, centre: int) -> tuple[IntArray, IntArray] | None:
    """One factor for all channels, and each one's nudge."""
    for deltas in (_NEAR, _FAR):
        factors = _factors(centre, deltas)
        needed = layer.needed(factors)
        nudges: list[IntArray] = []
        for channel in range(len(layer.least)):
            smallest, largest = layer.nudges(channel, needed)
            good = smallest <= largest
            if not good.any():
                break
            factors, needed = factors[good], needed[good]
            nudges = [each[good] for each in nudges] + [((smallest + largest) >> 1)[good]]
        else:
            return np.full(len(nudges), factors[0]), np.array([each[0] for each in nudges])
    return None


def _own_factors(layer: _Layer, centres: IntArray) -> tuple[IntArray, IntArray] | None:
    """Each channel's factor and nudge. One with few steps, or none, also finds a solution far from its ratio."""
    factor, nudge = np.zeros_like(centres), np.zeros_like(centres)
    for channel, centre in enumerate(centres.tolist()):
        elsewhere = centre * (1 << np.arange(1, 31)) - centre
        for deltas in (_NEAR, _FAR, np.append(elsewhere, [INT32_MAX - centre, (centre + 1) // 2 - centre])):
            factors = _factors(centre, deltas)
            smallest, largest = layer.nudges(channel, layer.needed(factors))
            good = np.flatnonzero(smallest <= largest)
            if len(good):
                factor[channel] = factors[good[0]]
                nudge[channel] = (smallest[good[0]] + largest[good[0]]) >> 1
                break
        else:
            return None
    return factor, nudge


def exact(requant: Requant, x: IntArray) -> IntArray:
    """TFLM's function; row i of `x` holds accumulators of channel i."""
    scaled = multiply_by_quantized_multiplier(x, requant.mantissa[:, None], requant.shift[:, None])
    return np.clip(scaled + requant.zero_point, requant.act_min, requant.act_max)


def exact_steps(requant: Requant, least: IntArray, most: IntArray) -> IntArray | None:
    """For each channel and each level above the lowest, the smallest accumulator that reaches it (one past `most`
    where none does), by bisection on TFLM's own function; None where that function is not monotone (it wraps)."""
    if not _monotone(requant, least, most).all():
        return None
    levels = np.arange(requant.act_min + 1, requant.act_max + 1, dtype=np.int64)[None, :]
    below = np.broadcast_to(least[:, None] - 1, (len(least), levels.shape[1])).copy()
    reached = np.broadcast_to(most[:, None] + 1, below.shape).copy()
    # Start from the real-valued inverse, which is right to a few units, so that bisection has little left to do.
    ratios = np.maximum(requant.mantissa, 1) * 2.0 ** (requant.shift.astype(np.float64) - 31)
    guess = np.clip((levels - requant.zero_point - 0.5) / ratios[:, None], -(2.0**40), 2.0**40).astype(np.int64)
    for probe in (guess - 4, guess + 4):
        inside = (probe > below) & (probe < reached)
        hit = exact(requant, np.where(inside, probe, least[:, None])) >= levels
        reached = np.where(inside & hit, probe, reached)
        below = np.where(inside & ~hit, probe, below)
    while np.any(reached - below > 1):
        middle = (below + reached) >> 1
        hit = exact(requant, np.clip(middle, least[:, None], most[:, None])) >= levels
        open_ = reached - below > 1
        reached = np.where(open_ & hit, middle, reached)
        below = np.where(open_ & ~hit, middle, below)
    return reached
