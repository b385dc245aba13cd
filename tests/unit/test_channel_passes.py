"""Shuffles, splits and concatenations of channels: views where weights can be sorted, else a few runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import net_ops as more
from support.graphs import assert_same
from support.net import Net
from support.tflite_schema import Code

from tinydeploy.compiler import compile_graph
from tinydeploy.graph import Graph
from tinydeploy.kernels.movement import gather, regular_steps
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.gather import ChannelGather, Run
from tinydeploy.passes.channel_moves import join_channel_moves
from tinydeploy.passes.channel_order import order_channels
from tinydeploy.passes.constant_channels import remove_constant_channels
from tinydeploy.tflite import read_model

QUANT = {"scale": 0.05, "zero_point": -100}
FAR = 1 << 24  # a bias that pins a channel to an end of its range


def kinds(graph: Graph) -> list[str]:
    """What runs, in order."""
    return [step.op.kind for step in compile_graph(graph, None).steps]


def gathers(graph: Graph) -> list[ChannelGather]:
    return [op for op in order_channels(join_channel_moves(graph)).ops if isinstance(op, ChannelGather)]


def read(net: Net, out: int) -> Graph:
    return read_model(net.done(out), "channels")


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_a_shuffle_between_convolutions_is_free(groups: int) -> None:
    net = Net(groups)
    x = more.shuffle(net, net.conv(net.input((1, 4, 3, 5)), 24, (1, 1)), groups)
    graph = read(net, net.conv(net.depthwise(net.pool("max", x, (2, 2), (1, 1))), 7, (1, 1)))
    assert kinds(graph) == ["CONV_2D", "MAX_POOL_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    assert_same(graph, order_channels(join_channel_moves(graph)))


def test_a_shuffle_at_an_edge_of_the_model_is_free() -> None:
    for shuffle_first in (True, False):
        net = Net(1)
        x = net.input((1, 4, 3, 12))
        x = net.conv(more.shuffle(net, x, 3), 12, (1, 1)) if shuffle_first else net.conv(x, 12, (1, 1))
        graph = read(net, x if shuffle_first else more.shuffle(net, x, 3))
        # A convolution takes the input's channels as they lie, and computes the output's in their order.
        assert kinds(graph) == ["CONV_2D"]
        assert_same(graph, order_channels(join_channel_moves(graph)))


def test_between_grouped_convolutions_channels_move_in_runs() -> None:
    net = Net(2)
    x = net.conv(net.input((1, 4, 3, 12)), 36, (1, 1), groups=3)
    graph = read(net, net.conv(net.depthwise(more.shuffle(net, x, 3)), 36, (1, 1), groups=3))
    (gather,) = gathers(graph)
    assert [run.count for run in gather.runs] == [4] * 9
    assert_same(graph, order_channels(join_channel_moves(graph)))


def shuffle_net(net: Net, units: int, depth: int) -> int:
    x = net.conv(net.input((1, 4, 3, 5)), depth, (1, 1), **QUANT)
    for _ in range(units):
        kept, part = more.split(net, x, 2)
        part = net.conv(net.depthwise(net.conv(part, depth // 2, (1, 1))), depth // 2, (1, 1), **QUANT)
        x = more.shuffle(net, more.concatenate(net, [kept, part]), 2)
    return net.conv(x, 8, (1, 1))


def test_units_of_a_shuffle_net_copy_runs_and_store_no_concatenation() -> None:
    net = Net(3)
    graph = read(net, shuffle_net(net, 3, 32))
    found = gathers(graph)
    # Two parts for each unit, and the last concatenation, in the order in which the last convolution takes it.
    assert [len(op.inputs) for op in found] == [1, 1, 2, 2, 2, 2, 2]
    assert [len(op.runs) for op in found] == [1, 1, 2, 2, 3, 3, 2]
    assert_same(graph, order_channels(join_channel_moves(graph)))


def test_a_concatenation_keeps_its_order_for_the_output() -> None:
    net = Net(4)
    x = net.input((1, 4, 3, 5))
    graph = read(net, more.concatenate(net, [net.conv(x, n, (1, 1), **QUANT) for n in (3, 4)]))
    (gather,) = gathers(graph)
    assert gather.runs == (Run(0, 0, 3), Run(1, 0, 4))


def test_rows_are_not_channels() -> None:
    net = Net(5)
    x = net.conv(net.input((1, 4, 3, 5)), 6, (1, 1), **QUANT)
    a, b = more.split(net, x, 2, axis=1)
    graph = read(net, net.conv(more.concatenate(net, [b, a], axis=1), 4, (1, 1)))
    assert not gathers(graph)
    assert kinds(graph) == ["CONV_2D", "SPLIT", "SPLIT", "CONCATENATION", "CONV_2D"]


def test_constant_channels_go_through_sums_concatenations_and_shuffles() -> None:
    net = Net(6)
    x = net.input((1, 4, 3, 5))
    a, b = (net.conv(x, 12, (1, 1), **QUANT) for _ in range(2))
    c = more.unary(net, Code.HARD_SWISH, net.add(a, b))
    c = net.quantize(c, QUANT["scale"], QUANT["zero_point"])
    x = more.shuffle(net, more.concatenate(net, [a, c]), 2)
    graph = read(net, net.fully_connected(net.mean(net.conv(x, 6, (1, 1))), 3))
    pinned = [
        replace(op, bias=op.bias + FAR * (np.arange(12) % 3 == 0))
        if isinstance(op, Conv2D) and len(op.bias) == 12
        else op
        for op in graph.ops
    ]
    graph = join_channel_moves(replace(graph, ops=tuple(pinned)))
    smaller = remove_constant_channels(graph)
    assert {smaller.tensors[op.output].shape[-1] for op in smaller.ops if op.kind in ("ADD", "QUANTIZE")} == {8}
    (gather,) = (op for op in smaller.ops if isinstance(op, ChannelGather))
    assert len(gather.taken) == 16
    assert_same(graph, smaller)
    assert_same(graph, order_channels(smaller))


def test_an_input_that_is_constant_altogether_is_no_input_of_the_concatenation() -> None:
    net = Net(7)
    x = net.input((1, 4, 3, 5))
    pinned, free = net.conv(x, 4, (1, 1), **QUANT), net.conv(x, 6, (1, 1), **QUANT)
    graph = read(net, net.conv(more.concatenate(net, [pinned, free]), 8, (1, 1)))
    ops = (
        replace(op, bias=op.bias + FAR) if op.output == pinned and isinstance(op, Conv2D) else op for op in graph.ops
    )
    graph = join_channel_moves(replace(graph, ops=tuple(ops)))
    smaller = remove_constant_channels(graph)
    (gather,) = (op for op in smaller.ops if isinstance(op, ChannelGather))
    assert gather.inputs == (free,)
    assert_same(graph, smaller)
    assert kinds(graph) == ["CONV_2D", "CONV_2D"]


@pytest.mark.parametrize(
    ("numbers", "loops"),
    [
        ([5], ((), ())),
        ([1, 4, 7], ((3,), (3,))),
        ([0, 6, 1, 7, 2, 8], ((3, 2), (1, 6))),
        ([2, 4, 5], None),
        ([2, 3, 4, 5, 8, 9], None),
    ],
)
def test_loops_make_the_channels_or_there_are_none(
    numbers: list[int], loops: tuple[tuple[int, ...], tuple[int, ...]] | None
) -> None:
    assert regular_steps(np.array(numbers)) == loops


def test_three_channels_without_a_pattern_are_copied() -> None:
    """Three loops would not be too many; there are none that make 2, 4, 5."""
    net = Net(8)
    x = more.unary(net, Code.HARD_SWISH, net.input((1, 3, 2, 6), **QUANT))
    tensors, order = read_model(net.done(x), "channels"), np.array([[0, 2], [0, 4], [0, 5]])
    source = tensors.ops[0].output
    narrow = replace(tensors.tensors[source], shape=(1, 3, 2, 3))
    op = ChannelGather("some", 1, (source,), 99, order, "SPLIT")
    graph = replace(tensors, tensors={**tensors.tensors, 99: narrow}, ops=(*tensors.ops, op), output=99)
    assert gather(op, graph).template == "td_channel_gather_s8"
