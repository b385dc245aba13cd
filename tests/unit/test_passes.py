"""Removing constant channels keeps every bit of every value that stays, near borders too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.net import Net
from support.strategies import seeded_network
from support.tflite_schema import Padding

from tinydeploy.graph import Graph
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.depthwise import DepthwiseConv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.passes.channel_moves import join_channel_moves
from tinydeploy.passes.channel_order import order_channels
from tinydeploy.passes.constant_channels import remove_constant_channels
from tinydeploy.passes.ranges import channel_ranges
from tinydeploy.passes.unread import remove_unread
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model

FAR = 1 << 24  # a bias that pins a channel to an end of its range


def with_pinned_channels(graph: Graph, seed: int) -> Graph:
    """About half of all channels made constant, at either end, by their biases; some weights made zero."""
    rng = np.random.default_rng(seed)
    ops = []
    for op in graph.ops:
        if isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected):
            pins = rng.choice([-FAR, 0, 0, FAR], len(op.bias))
            weights = op.weights * (rng.random(op.weights.shape) < 0.7)
            ops.append(replace(op, bias=op.bias + pins, weights=weights.astype(np.int8)))
        else:
            ops.append(op)
    return replace(graph, ops=tuple(ops))


def assert_same(before: Graph, after: Graph, seed: int) -> None:
    source = before.tensors[before.input]
    rng = np.random.default_rng(seed)
    for one in (rng.integers(-128, 128, source.shape), np.full(source.shape, -128), np.full(source.shape, 127)):
        want, got = run_graph(before, one.astype(np.int8)), run_graph(after, one.astype(np.int8))
        for tensor, values in got.items():
            channels = after.tensors[tensor].channels
            kept = want[tensor] if channels is None else want[tensor][..., channels]
            np.testing.assert_array_equal(values, kept)


def chain(seed: int, padding: Padding) -> Graph:
    net = Net(seed)
    x = net.input((1, 9, 7, 3))
    x = net.conv(x, 10, kernel=(3, 3), padding=padding)
    x = net.depthwise(x, kernel=(3, 3), padding=padding)
    x = net.conv(x, 12, kernel=(1, 1))
    x = net.conv(x, 9, kernel=(3, 3), stride=(2, 2), padding=padding)
    height, width = net.shape(x)[1:3]
    x = net.pool("average", x, (height, width))
    x = net.reshape(x, (1, 9))
    x = net.fully_connected(x, 5)
    return read_model(net.done(x), "chain")


@pytest.mark.parametrize("padding", [Padding.SAME, Padding.VALID])
@pytest.mark.parametrize("seed", range(12))
def test_every_value_that_stays_is_unchanged(seed: int, padding: Padding) -> None:
    graph = with_pinned_channels(chain(seed, padding), seed)
    smaller = remove_constant_channels(graph)
    assert smaller.macs < graph.macs
    assert_same(graph, smaller, seed)


@pytest.mark.parametrize("seed", range(60))
def test_random_networks_keep_their_outputs(seed: int) -> None:
    graph = read_model(seeded_network(seed).data, "random")
    if graph.tensors[graph.input].dtype != "int8":
        pytest.skip("a network with a float or uint8 edge")
    graph = with_pinned_channels(graph, seed)
    assert_same(graph, join_channel_moves(graph), seed)
    graph = join_channel_moves(graph)
    assert_same(graph, order_channels(graph), seed)
    smaller = remove_constant_channels(graph)
    assert_same(graph, smaller, seed)
    assert_same(graph, order_channels(smaller), seed)


@pytest.mark.parametrize("seed", range(8))
def test_ranges_hold_for_every_input(seed: int) -> None:
    graph = with_pinned_channels(chain(seed, Padding.SAME), seed)
    ranges = channel_ranges(graph)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        low = int(rng.integers(-128, 128))
        one = rng.integers(low, 128, graph.tensors[graph.input].shape).astype(np.int8)
        for tensor, values in run_graph(graph, one).items():
            assert (values >= ranges[tensor].least).all()
            assert (values <= ranges[tensor].most).all()


@pytest.mark.parametrize("seed", range(200, 260))
def test_ranges_hold_in_random_networks(seed: int) -> None:
    network = seeded_network(seed)
    graph = join_channel_moves(with_pinned_channels(read_model(network.data, "random"), seed))
    ranges = channel_ranges(graph)
    int8 = [tensor for tensor, values in graph.tensors.items() if values.dtype == "int8"]
    for one in network.inputs:
        values = run_graph(graph, one)
        for tensor in int8:
            assert (values[tensor] >= ranges[tensor].least).all()
            assert (values[tensor] <= ranges[tensor].most).all()


def test_a_constant_off_the_zero_point_stays_where_a_padded_window_reads_it() -> None:
    net = Net(3)
    x = net.input((1, 6, 6, 4))
    inner = net.conv(x, 8, kernel=(1, 1))
    y = net.conv(inner, 4, kernel=(3, 3), padding=Padding.SAME)
    graph = read_model(net.done(y), "border")
    first, second = graph.ops
    assert isinstance(first, Conv2D)
    zero_point = graph.tensors[first.output].quantization.zero_point
    assert zero_point != 127
    pinned = replace(first, bias=first.bias + np.array([FAR, FAR, FAR, FAR, 0, 0, 0, 0]))
    graph = replace(graph, ops=(pinned, second))
    smaller = remove_constant_channels(graph)
    assert smaller.tensors[first.output].channels is None
    assert_same(graph, smaller, 0)


def test_a_graph_without_constant_channels_is_left_alone() -> None:
    graph = chain(1, Padding.SAME)
    ranges = channel_ranges(graph)
    assert not any(ranges[op.output].constant.any() for op in graph.ops)
    assert remove_constant_channels(graph) is graph


def test_an_operator_that_nobody_reads_is_not_run() -> None:
    net = Net(4)
    x = net.input((1, 6, 6, 4))
    first = net.conv(x, 4)
    unread = net.conv(net.conv(first, 8), 2)
    graph = read_model(net.done(net.conv(first, 3)), "unread")
    kept = remove_unread(graph)
    assert [op.output for op in kept.ops] == [op.output for op in graph.ops if op.output in (first, graph.output)]
    assert unread not in kept.tensors
    values = np.random.default_rng(0).integers(-128, 128, (6, 6, 4), np.int8)
    np.testing.assert_array_equal(run_graph(kept, values)[graph.output], run_graph(graph, values)[graph.output])
    assert remove_unread(kept) is kept
