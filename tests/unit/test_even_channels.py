"""Odd numbers of output channels made even: which tensors change, what their readers make of it, and not a bit more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import net_ops as more
from support.case import Build
from support.graphs import assert_same
from support.net import Net

from tinydeploy.build_report import macs_notes
from tinydeploy.codegen import generate
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.cores import CORES
from tinydeploy.graph import Graph
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.passes.channel_moves import join_channel_moves
from tinydeploy.passes.even_channels import make_channels_even
from tinydeploy.tflite import read_model

QUANT = {"scale": 0.05, "zero_point": -7}
# Added to a bias, it leaves a channel at its greatest value.
FAR = 10_000_000


def read(net: Net, out: int) -> Graph:
    return join_channel_moves(read_model(net.done(out), "even"))


def separable(net: Net) -> int:
    """Convolution, depthwise, pool, residual and dense layers between odd tensors; the output is odd and stays."""
    x = net.conv(net.input((1, 6, 5, 3)), 7, (3, 3), **QUANT)
    x = net.add(x, net.conv(net.depthwise(x, (3, 3)), 7, (1, 1), **QUANT))
    x = net.pool("max", x, (2, 2))
    return net.conv(x, 5, (1, 1))


def grouped(net: Net) -> int:
    """Three groups of five channels become three of six, before a shuffle and after it."""
    x = net.conv(net.input((1, 4, 3, 12)), 15, (1, 1), groups=3)
    return net.conv(net.depthwise(more.shuffle(net, x, 3), (3, 3)), 30, (1, 1), groups=3)


def concatenation(net: Net) -> int:
    """Each part keeps its second last channel, and the concatenation stays one."""
    x = net.conv(net.input((1, 4, 4, 4)), 4, (1, 1))
    joined = more.concatenate(net, [net.conv(x, width, (1, 1), **QUANT) for width in (3, 4, 9)])
    return net.conv(joined, 6, (1, 1))


@pytest.mark.parametrize("build", [separable, grouped, concatenation])
def test_every_value_stays(build: Build) -> None:
    net = Net(3)
    before = read(net, build(net))
    assert_same(before, make_channels_even(before))


def test_matrix_layers_become_even_but_for_the_output() -> None:
    net = Net(3)
    graph = make_channels_even(read(net, separable(net)))
    assert [len(op.weights) for op in graph.ops if isinstance(op, Conv2D)] == [8, 8, 5]
    assert graph.tensors[graph.output].shape == (1, 3, 2, 5)


def test_groups_become_even_one_by_one() -> None:
    net = Net(3)
    graph = make_channels_even(read(net, grouped(net)), dense=False)
    first, _ = (op for op in graph.ops if isinstance(op, Conv2D))
    assert first.weights.shape == (18, 1, 1, 4)
    assert graph.tensors[first.output].channels == (0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 9, 10, 11, 12, 13, 14, 14)


def test_a_concatenation_of_even_parts_is_still_one() -> None:
    net = Net(3)
    graph = make_channels_even(read(net, concatenation(net)))
    (gather,) = (op for op in graph.ops if isinstance(op, ChannelGather))
    assert gather.is_concatenation(graph)
    assert graph.tensors[gather.output].shape == (1, 4, 4, 18)


def test_even_graphs_and_cores_without_pairs_are_left_alone() -> None:
    net = Net(3)
    even = read(net, net.conv(net.conv(net.input((1, 4, 4, 3)), 4, (1, 1)), 5, (1, 1)))
    assert make_channels_even(even) is even
    net = Net(3)
    odd = read_model(net.done(separable(net)), "even")
    for core, widths in (("m4", [8, 8, 5]), ("m0plus", [7, 7, 5]), ("m55", [7, 7, 5])):
        made = compile_graph(odd, CORES[core], keep_constant_channels=True).graph
        assert [len(op.weights) for op in made.ops if isinstance(op, Conv2D)] == widths


def test_a_build_says_which_macs_are_added_and_which_are_spared() -> None:
    net = Net(3)
    x = net.conv(net.input((1, 6, 5, 3)), 7, (3, 3), **QUANT)  # 30 pixels of 27 taps
    graph = read_model(net.done(net.conv(x, 4, (1, 1))), "odd")
    program = compile_graph(graph, CORES["m4"])
    assert (program.nominal_macs, program.needed_macs) == (30 * (27 * 7 + 7 * 4), 30 * (27 * 7 + 7 * 4))
    assert program.graph.macs == 30 * (27 * 8 + 8 * 4)
    assert said(program) == "930 MACs are added: the core computes channels in pairs, so odd ones have a second"
    assert said(compile_graph(graph, CORES["m0plus"])) == ""
    first, second = graph.ops
    assert isinstance(first, Conv2D)
    pinned = replace(first, bias=first.bias + FAR * (np.arange(7) < 3))
    assert said(compile_graph(replace(graph, ops=(pinned, second)), CORES["m4"])) == (
        "2,790 of the model's 6,510 MACs are spared: their channels hold one value whatever the input "
        "(--keep-constant-channels computes them too)"
    )


def said(program: Program) -> str:
    return "\n".join(str(note) for note in macs_notes(generate(program).manifest)).strip()
