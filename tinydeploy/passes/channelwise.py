"""Operators that make each output channel from the input channels of its number; and operators on other channels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.graph import Graph, Tensor
from tinydeploy.ops.base import Op, Requant
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.depthwise import DepthwiseConv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.ops.mean import Mean
from tinydeploy.ops.operands import BinaryOp, Operand
from tinydeploy.ops.pad import Pad
from tinydeploy.ops.pool import Pool2D
from tinydeploy.ops.quantize import Lookup
from tinydeploy.ops.reshape import Reshape
from tinydeploy.ops.resize import ResizeNearest

Channels = NDArray[np.int64]
"""Numbers of channels, in the order in which they are wanted."""
Weighted = TypeVar("Weighted", Conv2D, FullyConnected, DepthwiseConv2D)


def depth(graph: Graph, tensor: int) -> int:
    """How many channels a tensor has: the size of its last dimension."""
    shape = graph.tensors[tensor].shape
    return shape[-1] if shape else 1


def channel_classes(graph: Graph) -> dict[int, int]:
    """For each tensor a representative of those whose channels answer to each other one by one."""
    parent = {tensor: tensor for tensor in graph.tensors}

    def find(tensor: int) -> int:
        while parent[tensor] != tensor:
            tensor = parent[tensor]
        return tensor

    for op in graph.ops:
        for tensor in channelwise_inputs(op, graph):
            parent[find(tensor)] = find(op.output)
    return {tensor: find(tensor) for tensor in graph.tensors}


def rechanneled(tensor: Tensor, channels: Channels) -> Tensor:
    """A tensor of just these channels of `tensor`, in this order; it says so in ``channels``."""
    count = tensor.shape[-1] if tensor.shape else 1
    if len(channels) == count and (channels == np.arange(count)).all():
        return tensor
    before = tensor.channels if tensor.channels is not None else range(count)
    shape = (*tensor.shape[:-1], len(channels))
    return replace(tensor, shape=shape, channels=tuple(before[channel] for channel in channels.tolist()))


def channelwise_inputs(op: Op, graph: Graph) -> tuple[int, ...]:
    """The inputs whose channels answer to the output's one by one; none where the operator is of another kind."""
    count = depth(graph, op.output)
    if isinstance(op, BinaryOp):
        return tuple(tensor for tensor in op.inputs if depth(graph, tensor) == count)
    if isinstance(op, DepthwiseConv2D):
        alone = op.multiplier == 1
    elif isinstance(op, Reshape):
        alone = depth(graph, op.inputs[0]) == count
    elif isinstance(op, Mean):
        alone = op.inner == count == depth(graph, op.inputs[0]) and op.outer == 1
    elif isinstance(op, Pad):
        alone = op.pads[3] == (0, 0)
    else:
        alone = isinstance(op, Pool2D | Lookup | ResizeNearest)
    return op.inputs if alone else ()


def with_channels(op: Op, graph: Graph, channels: Mapping[int, Channels]) -> Op:
    """`op` where each of its tensors has just these channels, in this order. Filters lose the weights of inputs that
    are gone; where the operator can have nothing else, the channels must be all, in their order."""
    outputs, inputs = channels[op.output], channels[op.inputs[0]]
    if isinstance(op, ChannelGather):
        return _regathered(op, outputs, [channels[tensor] for tensor in op.inputs])
    if isinstance(op, FullyConnected):
        rows = _with_outputs(op, outputs)
        whole = op.weights.shape[1] == depth(graph, op.inputs[0])
        return replace(rows, weights=rows.weights[:, inputs]) if whole else rows
    if isinstance(op, Conv2D):
        filters = _with_outputs(op, outputs)
        size = op.weights.shape[3]
        # The channels of a group stay in it: each filter's own are sorted as theirs.
        group = outputs // (depth(graph, op.output) // op.groups)
        own = inputs.reshape(op.groups, -1) - size * np.arange(op.groups)[:, None]
        columns = own[group][:, None, None, :]
        return replace(filters, weights=np.take_along_axis(filters.weights, columns, axis=3))
    return _on_channels(op, outputs) if channelwise_inputs(op, graph) else op


def _on_channels(op: Op, channels: Channels) -> Op:
    """A channelwise operator where its inputs and its output have just these channels, in this order."""
    if isinstance(op, DepthwiseConv2D):
        return _with_outputs(op, channels)
    if isinstance(op, Mean):
        return replace(op, inner=len(channels))
    if isinstance(op, Pad):
        return replace(op, shape=(*op.shape[:3], len(channels)))
    if isinstance(op, BinaryOp):
        a, b = (_operand(side, op.shape[3], channels) for side in op.operands)
        return replace(op, operands=(a, b))
    return op


def _with_outputs(op: Weighted, channels: Channels) -> Weighted:
    """An operator with weights that computes these output channels in this order."""
    by_channel = op.weights[..., channels] if isinstance(op, DepthwiseConv2D) else op.weights[channels]
    return replace(op, weights=by_channel, bias=op.bias[channels], requant=_some(op.requant, channels))


def _regathered(op: ChannelGather, outputs: Channels, inputs: Sequence[Channels]) -> ChannelGather:
    """A gather of these output channels, from inputs that have just these channels, all in this order; inputs that give
    none of them are left out. A channel that is asked for again comes from where it stands again, if it does."""
    places: dict[tuple[int, int], list[int]] = defaultdict(list)
    for source, channels in enumerate(inputs):
        for at, channel in enumerate(channels.tolist()):
            places[source, channel].append(at)
    rows = [(source, channel) for source, channel in op.taken[outputs].tolist()]
    used = sorted({source for source, _ in rows})
    taken = []
    for row in rows:
        found = places[row]
        taken.append((used.index(row[0]), found.pop(0) if len(found) > 1 else found[0]))
    return replace(op, inputs=tuple(op.inputs[at] for at in used), taken=np.array(taken, np.int64))


def _some(requant: Requant, channels: Channels) -> Requant:
    return replace(requant, mantissa=requant.mantissa[channels], shift=requant.shift[channels])


def _operand(side: Operand, count: int, channels: Channels) -> Operand:
    if side.shape[3] != count:
        return side
    shape = (*side.shape[:3], len(channels))
    if side.tensor is not None:
        return replace(side, shape=shape)
    data = np.frombuffer(side.data, np.int8).reshape(side.shape)[..., channels]
    return replace(side, shape=shape, data=np.ascontiguousarray(data).tobytes())
