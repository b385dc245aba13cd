"""What values each channel of each activation can take: exact interval arithmetic on the int8 graph.

Bounds hold for every input. A convolution's accumulator bounds come from its weights and its input's bounds, with 0
among the values where a window can leave the input; they pass through TFLM's own requantization, which is monotone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinydeploy.fixedpoint import INT32_MAX, INT32_MIN, IntArray
from tinydeploy.graph import Graph
from tinydeploy.ops.base import Op, Requant
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.depthwise import DepthwiseConv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.ops.pool import Pool2D
from tinydeploy.ops.reshape import Reshape


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Least and greatest int8 value of each channel (the last dimension), over all positions and all inputs."""

    least: IntArray
    most: IntArray

    @property
    def constant(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Channels that hold one value whatever the input."""
        return self.least == self.most


def channel_ranges(graph: Graph) -> dict[int, Range]:
    """The ranges of every int8 activation, by tensor index."""
    ranges = {graph.input: _anything(graph, graph.input)}
    for op in graph.ops:
        ranges[op.output] = _output(op, graph, ranges)
    return ranges


def _anything(graph: Graph, tensor: int) -> Range:
    channels = graph.tensors[tensor].shape[-1] if graph.tensors[tensor].shape else 1
    return Range(np.full(channels, -128, np.int64), np.full(channels, 127, np.int64))


def _output(op: Op, graph: Graph, ranges: dict[int, Range]) -> Range:
    source = ranges[op.inputs[0]]
    if isinstance(op, Conv2D) and op.groups == 1:
        low, high = _inputs(source, op.input_zero_point, padded(op, graph))
        weights = op.weights.astype(np.int64)
        return _requantized(op.requant, op.bias, weights * low, weights * high, (1, 2, 3))
    if isinstance(op, DepthwiseConv2D) and op.multiplier == 1:
        low, high = _inputs(source, op.input_zero_point, padded(op, graph))
        weights = op.weights.astype(np.int64)
        return _requantized(op.requant, op.bias, weights * low, weights * high, (0, 1))
    if isinstance(op, FullyConnected) and op.rows == 1 and op.weights.shape[1] == len(source.least):
        low, high = _inputs(source, op.input_zero_point, False)
        weights = op.weights.astype(np.int64)
        return _requantized(op.requant, op.bias, weights * low, weights * high, (1,))
    if isinstance(op, Pool2D):
        # A mean or a maximum of values lies among them, and rounding stays among integers.
        return Range(np.clip(source.least, op.act_min, op.act_max), np.clip(source.most, op.act_min, op.act_max))
    if isinstance(op, Reshape) and keeps_channels(op, graph):
        return source
    return _anything(graph, op.output)


def padded(op: Conv2D | DepthwiseConv2D, graph: Graph) -> bool:
    """Whether a window of the operator leaves its input."""
    return op.window.leaves(graph.tensors[op.inputs[0]].shape, graph.tensors[op.output].shape)


def _inputs(source: Range, zero_point: int, leaves: bool) -> tuple[IntArray, IntArray]:
    """Bounds of input minus zero point, with 0 among them where windows leave the input."""
    low, high = source.least - zero_point, source.most - zero_point
    return (np.minimum(low, 0), np.maximum(high, 0)) if leaves else (low, high)


def _requantized(requant: Requant, bias: IntArray, a: IntArray, b: IntArray, axes: tuple[int, ...]) -> Range:
    least = np.minimum(a, b).sum(axis=axes) + bias
    most = np.maximum(a, b).sum(axis=axes) + bias
    left = np.maximum(requant.shift, 0)
    # Where a sum or its left shift could wrap, requantization is not monotone and nothing is known.
    wraps = ((least << np.minimum(left, 24)) < INT32_MIN) | ((most << np.minimum(left, 24)) > INT32_MAX) | (left > 24)
    low = requant.apply(np.where(wraps, 0, least)).astype(np.int64)
    high = requant.apply(np.where(wraps, 0, most)).astype(np.int64)
    return Range(np.where(wraps, requant.act_min, low), np.where(wraps, requant.act_max, high))


def keeps_channels(op: Reshape, graph: Graph) -> bool:
    """Whether the reshaped tensor's last dimension is the same channels, each of one element."""
    before, after = graph.tensors[op.inputs[0]].shape, graph.tensors[op.output].shape
    return bool(before) and bool(after) and before[-1] == after[-1] == graph.tensors[op.output].elements
