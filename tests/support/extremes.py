"""Inputs that take a network to its limits: accumulators at their ends, and requantization on its ties.

Candidates are random inputs, and inputs in which one window holds the pattern of a channel's own weights, which drives
that channel's accumulator as far as it goes. The numpy reference runs them; kept are those that show something new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from support.tflite_schema import Code, Conv2D, DepthwiseConv2D, Padding
from support.tflite_writer import Model
from tinydeploy import fixedpoint
from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model

RANDOM, PATTERNS = 10, 10
# A shift of so many bits ends on a tie once in 1,024 accumulators: inputs of some hundred elements can be found for it.
_MOST_TIE_BITS = 10
Seen = tuple[int, str]
"""The number of a rounding in the order of execution, and what happened there."""
Ends = dict[int, tuple[int, int]]
"""The lowest and highest accumulator of each rounding."""


@contextmanager
def watch_rounding(seen: set[Seen], ends: Ends) -> Iterator[None]:
    """Note which ties the roundings inside meet, which could, and the lowest and highest accumulator that each got."""
    high_mul, divide = fixedpoint.saturating_rounding_doubling_high_mul, fixedpoint.rounding_divide_by_pot
    count = 0

    def watch_mul(a: IntArray, b: IntArray | int) -> IntArray:
        nonlocal count
        if ((a * np.int64(b) if isinstance(b, int) else a * b) & 0x7FFFFFFF == 1 << 30).any():
            seen.add((count, "tie of the first rounding"))
        if np.size(a):
            ends[count] = int(np.min(a)), int(np.max(a))
        count += 1
        return high_mul(a, b)

    def watch_divide(x: IntArray, exponent: IntArray | int) -> IntArray:
        bits = np.asarray(exponent, np.int64)
        half = (np.int64(1) << bits) >> 1
        if ((bits > 0) & (bits <= _MOST_TIE_BITS)).any():
            seen.add((count, "tie within reach"))
        tie = ((x & (2 * half - 1)) == half) & (half > 0)
        for sign, where in (("above", x >= 0), ("below", x < 0)):
            if (tie & where).any():
                seen.add((count, f"tie {sign} zero"))
        return divide(x, exponent)

    with (
        mock.patch.object(fixedpoint, "saturating_rounding_doubling_high_mul", watch_mul),
        mock.patch.object(fixedpoint, "rounding_divide_by_pot", watch_divide),
    ):
        yield


def directed_inputs(model: Model, known: NDArray[np.generic], seed: int, most: int) -> list[NDArray[np.generic]]:
    """At most `most` inputs that show ties or accumulators that `known`, (N, *shape), does not; greedily the best."""
    graph = read_model(model.to_bytes(), "directed")
    rng = np.random.default_rng([seed, 1])
    seen: set[Seen] = set()
    ends: Ends = {}
    for values in known:
        found, reached = _run(graph, values)
        seen |= found
        ends = _wider(ends, reached)
    shape, dtype = known.shape[1:], known.dtype
    if dtype.kind == "f":
        candidates = [rng.normal(0, 4, shape).astype(dtype) for _ in range(RANDOM)]
    else:
        limits = np.iinfo(str(dtype))
        candidates = [rng.integers(limits.min, limits.max + 1, shape, dtype) for _ in range(RANDOM)]
        candidates += _patterns(model, rng, shape) if dtype == np.int8 else []
    ran = [(values, *_run(graph, values)) for values in candidates]
    kept = []
    for _ in range(most):
        gains = [len(found - seen) + _beyond(ends, reached) for _, found, reached in ran]
        best = int(np.argmax(gains))
        if not gains[best]:
            break
        values, found, reached = ran[best]
        kept.append(values)
        seen |= found
        ends = _wider(ends, reached)
    return kept


def _run(graph: Graph, values: NDArray[np.generic]) -> tuple[set[Seen], Ends]:
    seen: set[Seen] = set()
    ends: Ends = {}
    with watch_rounding(seen, ends):
        run_graph(graph, values)
    return seen, ends


def _wider(a: Ends, b: Ends) -> Ends:
    """The lowest and highest of both."""
    nothing = (fixedpoint.INT32_MAX, fixedpoint.INT32_MIN)
    pairs = {k: (a.get(k, nothing), b.get(k, nothing)) for k in a.keys() | b.keys()}
    return {k: (min(x[0], y[0]), max(x[1], y[1])) for k, (x, y) in pairs.items()}


def _beyond(known: Ends, reached: Ends) -> int:
    """At how many ends `reached` goes further than anything before."""
    return sum((low < known[k][0]) + (high > known[k][1]) for k, (low, high) in reached.items() if k in known)


def _patterns(model: Model, rng: np.random.Generator, shape: Sequence[int]) -> list[NDArray[np.int8]]:
    """Inputs that hold the signs of one channel's weights at one place, for operators that read the input."""
    weighted = (Code.CONV_2D, Code.DEPTHWISE_CONV_2D, Code.FULLY_CONNECTED)
    made = []
    for op in model.ops:
        if op.code not in weighted or op.inputs[0] != model.inputs[0]:
            continue
        weights = model.tensors[op.inputs[1]].data
        assert weights is not None
        axis = 3 if op.code is Code.DEPTHWISE_CONV_2D else 0
        channels = rng.permutation(weights.shape[axis])
        for number in range(PATTERNS):
            values = rng.integers(-128, 128, shape, np.int8)
            channel, sign = int(channels[number // 2 % len(channels)]), (1, -1)[number % 2]
            if op.code is Code.FULLY_CONNECTED:
                values.reshape(-1, weights.shape[1])[:] = _ends(weights[channel], sign)
            else:
                _write_window(values, op.options, weights, channel, sign, rng)
            made.append(values)
    return made


def _write_window(
    values: NDArray[np.int8],
    options: object,
    weights: NDArray[np.int8],
    channel: int,
    sign: int,
    rng: np.random.Generator,
) -> None:
    """Put the signs of an output channel's weights into a random window of `values`, (1, height, width, depth)."""
    assert isinstance(options, Conv2D | DepthwiseConv2D)
    _, height, width, depth = values.shape
    if isinstance(options, Conv2D):
        kernel = weights[channel]
        groups = depth // kernel.shape[2]
        first = channel // (weights.shape[0] // groups) * kernel.shape[2]
    else:
        kernel = weights[0, :, :, channel : channel + 1]
        first = channel // options.depth_multiplier
    top, left = int(rng.integers(height)), int(rng.integers(width))
    if options.padding is Padding.VALID:
        top = left = 0
    for y in range(kernel.shape[0]):
        for x in range(kernel.shape[1]):
            row, column = top + y * options.dilation[0], left + x * options.dilation[1]
            if row < height and column < width:
                values[0, row, column, first : first + kernel.shape[2]] = _ends(kernel[y, x], sign)


def _ends(weights: NDArray[np.int8], sign: int) -> NDArray[np.int8]:
    return np.where(weights.astype(int) * sign > 0, 127, -128).astype(np.int8)
