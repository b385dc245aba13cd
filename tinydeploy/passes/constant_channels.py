"""Remove channels that hold one value whatever the input, and channels that nobody reads; fold them into biases.

A trained network often has many: batch normalization and ReLU leave channels that never rise above zero. The interval
analysis of `ranges` proves it, and the sums that such a channel contributes to the next layer are a constant. Near the
border a padded window misses some of them, so there only a channel equal to the zero point, which contributes nothing,
can go. The outputs keep every bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import wrap_int32
from tinydeploy.graph import Graph, verify
from tinydeploy.ops.base import Op
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.passes.channelwise import Channels, channelwise_inputs, depth, rechanneled, with_channels
from tinydeploy.passes.ranges import Range, channel_ranges, padded

Kept = dict[int, Channels]
# Kernels take channels two by two, and a removed channel costs nothing to keep.
_MULTIPLE = 2


def remove_constant_channels(graph: Graph) -> Graph:
    """The same model with fewer channels. Tensors that lost some say so in ``channels``."""
    ranges = channel_ranges(graph)
    kept = _kept_channels(graph, ranges)
    if all(len(kept[t]) == depth(graph, t) for t in kept):
        return graph
    ops = tuple(with_channels(_folded(op, graph, ranges, kept), graph, kept) for op in graph.ops)
    tensors = {t: rechanneled(tensor, kept[t]) if t in kept else tensor for t, tensor in graph.tensors.items()}
    return verify(replace(graph, tensors=tensors, ops=ops))


def _kept_channels(graph: Graph, ranges: dict[int, Range]) -> Kept:
    """Which channels of each tensor stay, decided from the output backwards.

    An operator that works channel by channel keeps the same ones on all sides, so what another reader needs of an input
    comes back to its output, and the walk is repeated until nothing is added.
    """
    needed: dict[int, NDArray[np.bool_]] = {}
    for tensor in [graph.input, *(op.output for op in graph.ops)]:
        needed[tensor] = np.zeros(depth(graph, tensor), bool)
    needed[graph.output][:] = True
    needed[graph.input][:] = True
    before = -1
    while (now := sum(int(wanted.sum()) for wanted in needed.values())) != before:
        before = now
        for op in reversed(graph.ops):
            wanted = needed[op.output]
            if not _narrows_output(op, graph):
                wanted[:] = True
            for tensor in channelwise_inputs(op, graph):
                wanted |= needed[tensor]
            _round_up(wanted)
            for tensor in op.inputs:
                needed[tensor] |= _reads(op, graph, tensor, ranges[tensor], wanted)
    return {tensor: np.flatnonzero(wanted) for tensor, wanted in needed.items()}


def _narrows_output(op: Op, graph: Graph) -> bool:
    """Whether the operator can compute a part of its output's channels."""
    if isinstance(op, Conv2D):
        return op.groups == 1
    if isinstance(op, FullyConnected):
        return op.rows == 1
    return isinstance(op, ChannelGather) or bool(channelwise_inputs(op, graph))


def _round_up(wanted: NDArray[np.bool_]) -> None:
    """Keep a few removable channels so that the number is one that kernels like, and at least one pair stays."""
    missing = -int(wanted.sum()) % _MULTIPLE if wanted.any() else _MULTIPLE
    wanted[np.flatnonzero(~wanted)[:missing]] = True


def _reads(op: Op, graph: Graph, tensor: int, source: Range, outputs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which channels of an input the operator must have, to compute those `outputs`."""
    if isinstance(op, Conv2D) and op.groups == 1:
        used = (op.weights[outputs] != 0).any(axis=(0, 1, 2))
        if padded(op, graph):
            return used & ~(source.constant & (source.least == op.input_zero_point))
        return used & ~source.constant
    if isinstance(op, FullyConnected) and op.rows == 1 and op.weights.shape[1] == len(source.least):
        return (op.weights[outputs] != 0).any(axis=0) & ~source.constant
    if tensor in channelwise_inputs(op, graph):
        return outputs
    used = np.ones(len(source.least), bool)
    if isinstance(op, ChannelGather):
        used[:] = False
        places = [at for at, one in enumerate(op.inputs) if one == tensor]
        used[op.taken[outputs & np.isin(op.taken[:, 0], places), 1]] = True
    return used


def _folded(op: Op, graph: Graph, ranges: dict[int, Range], kept: Kept) -> Op:
    """`op` with what the channels that go contribute to its sums in its biases."""
    source = op.inputs[0]
    dense = isinstance(op, Conv2D) and op.groups == 1
    one_row = isinstance(op, FullyConnected) and op.rows == 1 and op.weights.shape[1] == depth(graph, source)
    if not isinstance(op, Conv2D | FullyConnected) or not (dense or one_row):
        return op
    constant = _constant_part(ranges[source], kept[source], op.input_zero_point)
    parts = op.weights.astype(np.int64) * constant
    return replace(op, bias=wrap_int32(op.bias + parts.reshape(len(parts), -1).sum(axis=1)))


def _constant_part(source: Range, kept: Channels, zero_point: int) -> Channels:
    """What each removed channel holds over its zero point; nothing for those that stay or that nobody reads."""
    part = np.where(source.constant, source.least - zero_point, 0)
    part[kept] = 0
    return part
