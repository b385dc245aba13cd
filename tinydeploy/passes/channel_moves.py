"""Concatenations, splits and shuffles of channels become gathers, and gathers of gathers one.

A channel shuffle is a RESHAPE, a TRANSPOSE and a RESHAPE; a concatenation, a shuffle and a split follow each other in
every unit of a ShuffleNet. What lies between them is never stored: a tensor that only gathers read, and that is no part
of a larger one, is left out. A part stays, since to read it from the larger tensor again would keep that alive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph, Tensor, verify
from tinydeploy.ops.base import Op
from tinydeploy.ops.concatenation import Concatenation
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.ops.movement import Move
from tinydeploy.ops.reshape import Reshape
from tinydeploy.passes.unread import remove_unread


def join_channel_moves(graph: Graph) -> Graph:
    """The same model with its channel moves as gathers, as few as do, and without operators that nobody reads."""
    graph = remove_unread(replace(graph, ops=tuple(_past_reshapes(graph))))
    ops = [_gather(op, graph.tensors) for op in graph.ops]
    made: dict[int, Op] = {}
    for at, op in enumerate(ops):
        if isinstance(op, ChannelGather):
            ops[at] = op = _resolved(op, graph, ops, made)
        made[op.output] = op
    return verify(remove_unread(replace(graph, ops=tuple(as_view(op, graph) for op in ops))))


def as_view(op: Op, graph: Graph) -> Op:
    """`op`, or the reshape that it amounts to."""
    if isinstance(op, ChannelGather) and op.is_view(graph):
        return Reshape(op.name, op.index, op.inputs, op.output, op.kind)
    return op


def _past_reshapes(graph: Graph) -> list[Op]:
    """The operators, every Move from the tensor before a reshape and, where one follows alone, to the one after."""
    after: dict[int, int] = {}
    for op in graph.ops:
        if isinstance(op, Move) and op.output != graph.output:
            readers = graph.consumers(op.output)
            if len(readers) == 1 and isinstance(readers[0], Reshape):
                after[op.output] = readers[0].output
    gone = set(after.values())
    before = {op.output: op.inputs[0] for op in graph.ops if isinstance(op, Reshape) and op.output not in gone}
    result: list[Op] = []
    for op in graph.ops:
        if isinstance(op, Move):
            source = op.inputs[0]
            # A reshape that a Move now stands for has no tensor before it any more.
            while (
                source in before
                and source not in gone
                and _last(graph.tensors[source]) != _last(graph.tensors[before[source]])
            ):
                source = before[source]
            result.append(replace(op, inputs=(source,), output=after.get(op.output, op.output)))
        elif op.output not in gone:
            result.append(op)
    return result


def _last(tensor: Tensor) -> int:
    return tensor.shape[-1] if tensor.shape else 1


def _gather(op: Op, tensors: Mapping[int, Tensor]) -> Op:
    """`op` as a gather, where it moves channels and leaves pixels in their places."""
    taken: IntArray | None = None
    if isinstance(op, Concatenation) and _last(tensors[op.output]) == sum(_last(tensors[t]) for t in op.inputs):
        taken = np.array([(i, c) for i, t in enumerate(op.inputs) for c in range(_last(tensors[t]))], np.int64)
    elif isinstance(op, Move):
        taken = _channels_of(op, tensors[op.inputs[0]], tensors[op.output])
    if taken is None:
        return op
    return ChannelGather(op.name, op.index, op.inputs, op.output, taken, op.kind)


def _channels_of(op: Move, source: Tensor, output: Tensor) -> IntArray | None:
    depth, width = _last(source), _last(output)
    pixels = source.elements // depth
    if output.elements != pixels * width:
        return None
    elements = op.walk.elements().reshape(pixels, width)
    channels = elements[0]
    if (elements != channels + depth * np.arange(pixels)[:, None]).any() or channels.max() >= depth:
        return None
    return np.stack([np.zeros_like(channels), channels], axis=1)


def _resolved(op: ChannelGather, graph: Graph, ops: Sequence[Op], made: dict[int, Op]) -> ChannelGather:
    """`op` on the inputs of those of its inputs that need not exist."""
    places: dict[int, int] = {}
    taken = []
    for at, channel in op.taken.tolist():
        tensor = op.inputs[at]
        inner = made.get(tensor)
        if isinstance(inner, ChannelGather) and _between(inner, graph, ops):
            at, channel = inner.taken[channel].tolist()
            tensor = inner.inputs[at]
        taken.append((places.setdefault(tensor, len(places)), channel))
    return replace(op, inputs=tuple(places), taken=np.array(taken, np.int64))


def _between(op: ChannelGather, graph: Graph, ops: Sequence[Op]) -> bool:
    """Whether only gathers read the output, which is no part of a larger tensor."""
    readers = [reader for reader in ops if op.output in reader.inputs]
    depth = sum(graph.tensors[t].shape[-1] for t in op.inputs)
    whole = len(op.taken) == depth
    return op.output != graph.output and whole and all(isinstance(reader, ChannelGather) for reader in readers)
