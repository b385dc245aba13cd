"""Another order of channels in memory, so that shuffles and splits move whole runs, or nothing.

A convolution may compute its channels in any order and read them in any order: its weights are sorted the same way. So
the channels of a tensor may lie as they come from the tensors that they are taken from, a shuffle becomes a view, and
what a split takes from a concatenation are a few runs. Tensors whose channels are not in the .tflite's order say so in
``channels``. Inputs, outputs and what other operators touch keep theirs; a grouped convolution lets channels change
places within their group.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph, verify
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.passes.channel_moves import as_view
from tinydeploy.passes.channelwise import (
    Channels,
    channel_classes,
    channelwise_inputs,
    depth,
    rechanneled,
    with_channels,
)


def order_channels(graph: Graph) -> Graph:
    """The same model with channels in the order that costs the fewest copies."""
    if not any(isinstance(op, ChannelGather) for op in graph.ops):
        return graph
    orders = _orders(graph)
    ops = tuple(as_view(with_channels(op, graph, orders), graph) for op in graph.ops)
    tensors = {index: rechanneled(tensor, orders[index]) for index, tensor in graph.tensors.items()}
    return verify(replace(graph, tensors=tensors, ops=ops))


def _orders(graph: Graph) -> dict[int, Channels]:
    """Which channel lies at each place of each tensor."""
    classes = channel_classes(graph)
    blocks = {one: np.zeros(depth(graph, one), np.int64) for one in set(classes.values())}
    for tensor, fixed in _blocks(graph):
        one = classes[tensor]
        # Channels that are together in both divisions.
        blocks[one] = np.unique(np.stack([blocks[one], fixed]), axis=1, return_inverse=True)[1].reshape(-1)
    orders: dict[int, Channels] = {}
    # A class is settled where it is first written; what it is taken from comes before.
    for tensor in (graph.input, *(op.output for op in graph.ops)):
        one = classes[tensor]
        if one not in orders:
            keys = _by_source(graph, one, classes, orders) or _by_taker(graph, one, classes, blocks)
            number = np.arange(depth(graph, tensor))
            orders[one] = np.lexsort((number, *keys[::-1], blocks[one]))
    return {tensor: orders[classes[tensor]] for tensor in graph.tensors}


def _blocks(graph: Graph) -> list[tuple[int, IntArray]]:
    """What operators demand of their tensors: numbers of blocks, channel by channel, that channels must not leave."""
    found = [(tensor, np.arange(depth(graph, tensor))) for tensor in (graph.input, graph.output)]
    for op in graph.ops:
        if isinstance(op, ChannelGather) or channelwise_inputs(op, graph):
            continue
        for tensor in (*op.inputs, op.output):
            count = depth(graph, tensor)
            if isinstance(op, Conv2D):
                found.append((tensor, np.arange(count) // (count // op.groups)))
            elif not (isinstance(op, FullyConnected) and (tensor == op.output or count == op.weights.shape[1])):
                found.append((tensor, np.arange(count)))
    return found


def _by_source(graph: Graph, one: int, classes: dict[int, int], orders: dict[int, Channels]) -> tuple[IntArray, ...]:
    """For each channel of a class where it is taken from: which input of a gather, which place there."""
    for op in graph.ops:
        writes = isinstance(op, ChannelGather) and classes[op.output] == one
        if isinstance(op, ChannelGather) and writes and all(classes[tensor] in orders for tensor in op.inputs):
            places = [np.argsort(orders[classes[tensor]]) for tensor in op.inputs]
            return op.taken[:, 0], np.array([places[at][channel] for at, channel in op.taken.tolist()])
    return ()


def _by_taker(graph: Graph, one: int, classes: dict[int, int], blocks: dict[int, IntArray]) -> tuple[IntArray, ...]:
    """For each channel of a class where it is taken to: a number for every gather that reads it, of the block."""
    keys = []
    for op in graph.ops:
        for at, tensor in enumerate(op.inputs):
            if isinstance(op, ChannelGather) and classes[tensor] == one:
                goal = blocks[classes[op.output]]
                key = np.full(depth(graph, tensor), goal.max() + 1)
                here = op.taken[:, 0] == at
                key[op.taken[here, 1]] = goal[here]
                keys.append(key)
    return tuple(keys)
