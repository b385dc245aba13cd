"""Odd numbers of output channels made even: kernels for the DSP extension compute channels in pairs, an odd one in C.

The last channel of a convolution that has an odd number of them stands there twice, in a grouped convolution that of
every group. Whoever reads the tensor has weights of zero for the second, so no sum changes; what lies between carries
it along. The tensor says so in ``channels``, where a number occurs twice. Input and output of the model stay as they
are, and so does every tensor that an operator touches for which the number of channels is more than a number.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from tinydeploy.graph import Graph, verify
from tinydeploy.ops.base import Op
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.passes.channelwise import (
    Channels,
    channel_classes,
    channelwise_inputs,
    depth,
    rechanneled,
    with_channels,
)

# One more of fewer channels than this is too much to compute for nothing.
_LEAST = 3


def make_channels_even(graph: Graph, *, dense: bool = True) -> Graph:
    """The same model where no convolution has an odd number of output channels, as far as that can be; without `dense`
    no grouped one, for cores whose kernels for the others take an odd channel as it is."""
    lists = _lists(graph, dense)
    if all(len(channels) == depth(graph, tensor) for tensor, channels in lists.items()):
        return graph
    ops = tuple(_silenced(with_channels(op, graph, lists), op, lists) for op in graph.ops)
    tensors = {index: rechanneled(tensor, lists[index]) for index, tensor in graph.tensors.items()}
    return verify(replace(graph, tensors=tensors, ops=ops))


def _lists(graph: Graph, dense: bool) -> dict[int, Channels]:
    """The channels of each tensor, in order: all, and the last of a block a second time where that makes it even."""
    classes = channel_classes(graph)
    blocks = _blocks(graph, classes)
    lists = {one: np.arange(depth(graph, one)) for one in set(classes.values())}
    for one in _wanted(graph, classes, dense) & blocks.keys():
        parts = lists[one].reshape(blocks[one], -1)
        lists[one] = np.concatenate([parts, parts[:, -1:]], axis=1).reshape(-1) if parts.shape[1] % 2 else lists[one]
    writers: dict[int, list[Op]] = defaultdict(list)
    for op in graph.ops:
        if not channelwise_inputs(op, graph):
            writers[classes[op.output]].append(op)
    # A concatenation that alone makes its channels takes its parts as they are, to stay one.
    for op in graph.ops:
        one = classes[op.output]
        if isinstance(op, ChannelGather) and op.is_concatenation(graph) and writers[one] == [op] and one in blocks:
            starts = np.cumsum([0, *(depth(graph, tensor) for tensor in op.inputs)])
            inputs = zip(op.inputs, starts.tolist(), strict=False)
            joined = np.concatenate([lists[classes[tensor]] + start for tensor, start in inputs])
            lists[one] = joined if blocks[one] == 1 else lists[one]
    return {tensor: lists[one] for tensor, one in classes.items()}


def _wanted(graph: Graph, classes: dict[int, int], dense: bool) -> set[int]:
    """The classes of tensors that matrix layers write with an odd number of channels, each of a few at least."""
    found = set()
    for op in graph.ops:
        if isinstance(op, Conv2D | FullyConnected):
            groups = op.groups if isinstance(op, Conv2D) else 1
            each = len(op.weights) // groups
            if each % 2 and each >= _LEAST and (dense or groups > 1):
                found.add(classes[op.output])
    return found


def _blocks(graph: Graph, classes: dict[int, int]) -> dict[int, int]:
    """The classes whose number of channels may change, and into how many equal blocks grouped convolutions divide
    them."""
    found: dict[int, set[int]] = {one: set() for one in classes.values()}
    fixed = {classes[graph.input], classes[graph.output]}
    for op in graph.ops:
        if isinstance(op, ChannelGather) or channelwise_inputs(op, graph):
            continue
        for tensor in (*op.inputs, op.output):
            one = classes[tensor]
            if isinstance(op, Conv2D):
                found[one] |= {op.groups} - {1}
            elif not (isinstance(op, FullyConnected) and (tensor == op.output or _whole(op, graph))):
                fixed.add(one)
    return {one: max(groups, default=1) for one, groups in found.items() if one not in fixed and len(groups) <= 1}


def _whole(op: FullyConnected, graph: Graph) -> bool:
    """Whether a row of the input is the input's channels."""
    return op.weights.shape[1] == depth(graph, op.inputs[0])


def _silenced(op: Op, before: Op, lists: dict[int, Channels]) -> Op:
    """`op`, which was `before`, with weights of zero for channels that stand there a second time."""
    if not isinstance(op, Conv2D | FullyConnected):
        return op
    channels = lists[before.inputs[0]]
    second = np.ones(len(channels), bool)
    second[np.unique(channels, return_index=True)[1]] = False
    if not second.any():
        return op
    groups = op.groups if isinstance(op, Conv2D) else 1
    own = np.repeat(second.reshape(groups, -1), len(op.weights) // groups, axis=0)
    if isinstance(op, Conv2D):
        own = own[:, None, None, :]
    return replace(op, weights=np.where(own, np.int8(0), op.weights))
