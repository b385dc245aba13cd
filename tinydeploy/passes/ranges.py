"""What values each channel of each activation can take: exact interval arithmetic on the int8 graph.

Bounds hold for every input. A convolution's accumulator bounds come from its weights and its input's bounds, with 0
among the values where a window can leave the input; they pass through TFLM's own requantization, which is monotone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinydeploy.fixedpoint import INT32_MAX, INT32_MIN, IntArray, multiply_by_quantized_multiplier
from tinydeploy.graph import Graph
from tinydeploy.ops.base import Op, Requant
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.convolution import Convolution
from tinydeploy.ops.depthwise import DepthwiseConv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.ops.mean import Mean
from tinydeploy.ops.operands import BinaryOp
from tinydeploy.ops.pad import Pad
from tinydeploy.ops.pool import Pool2D
from tinydeploy.ops.quantize import Lookup
from tinydeploy.ops.reshape import Reshape
from tinydeploy.ops.resize import ResizeNearest
from tinydeploy.passes.channelwise import channelwise_inputs, depth


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
    if isinstance(op, BinaryOp):
        return _of_two(op, graph, ranges)
    if isinstance(op, ChannelGather):
        sides = op.taken.tolist()
        least = [ranges[op.inputs[at]].least[channel] for at, channel in sides]
        return Range(np.array(least), np.array([ranges[op.inputs[at]].most[channel] for at, channel in sides]))
    if not channelwise_inputs(op, graph):
        return _anything(graph, op.output)
    if isinstance(op, Lookup):
        return _looked_up(op, graph, source)
    if isinstance(op, Pad):
        inside = all(pair == (0, 0) for pair in op.pads)
        return source if inside else Range(np.minimum(source.least, op.value), np.maximum(source.most, op.value))
    if isinstance(op, Mean):
        return _mean(op, graph, source)
    return source if isinstance(op, Reshape | ResizeNearest) else _anything(graph, op.output)


def _of_two(op: BinaryOp, graph: Graph, ranges: dict[int, Range]) -> Range:
    """Sums, differences, products and extrema are monotone in each operand, and so is rescaling: the ends come from
    ends."""
    ends = []
    for side in op.operands:
        if side.tensor is None:
            data = np.frombuffer(side.data, np.int8).reshape(-1, side.shape[3])
            ends.append((data.min(axis=0), data.max(axis=0)))
        else:
            ends.append((ranges[side.tensor].least, ranges[side.tensor].most))
    corners = [op.apply(a, b).astype(np.int64) for a in ends[0] for b in ends[1]]
    shape = (depth(graph, op.output),)
    return Range(*(np.broadcast_to(end, shape).copy() for end in (np.min(corners, axis=0), np.max(corners, axis=0))))


def _mean(op: Mean, graph: Graph, source: Range) -> Range:
    """Rescaling is monotone in the sum, where nothing wraps."""
    factor, ends = op.multiplier, []
    for end in (source.least, source.most):
        total = op.reduced * (end - op.input_zero_point)
        if np.abs(total).max(initial=0) << max(factor.shift, 0) > INT32_MAX:
            return _anything(graph, op.output)
        scaled = multiply_by_quantized_multiplier(total, factor.mantissa, factor.shift)
        ends.append(np.clip(scaled + op.output_zero_point, -128, 127))
    return Range(ends[0], ends[1])


def _looked_up(op: Lookup, graph: Graph, source: Range) -> Range:
    """The ends of a table's entries over each channel's range."""
    if {graph.tensors[t].dtype for t in (op.inputs[0], op.output)} != {"int8"}:
        return _anything(graph, op.output)
    table = np.roll(op.table, 128).astype(np.int64)
    parts = [table[low + 128 : high + 129] for low, high in zip(source.least, source.most, strict=True)]
    return Range(np.array([part.min() for part in parts]), np.array([part.max() for part in parts]))


def padded(op: Convolution, graph: Graph) -> bool:
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
