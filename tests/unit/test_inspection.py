"""inspect and boards: the facts are those of the graph and of the board files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.net import Net

from tinydeploy.boards import list_boards, load_board
from tinydeploy.compiler import compile_graph
from tinydeploy.graph import Graph
from tinydeploy.inspection import boards_json, inspect_model, inspection_json
from tinydeploy.tflite import read_model


@pytest.fixture
def graph() -> Graph:
    net = Net(2)
    x = net.input((1, 8, 6, 3))
    a = net.depthwise(net.conv(x, 5, (3, 3), (2, 2)), (3, 3))
    return read_model(net.done(net.fully_connected(net.reshape(a, (1, 60)), 7)), "inspected")


def test_layers_and_sums(graph: Graph) -> None:
    found = inspect_model(graph, None)
    assert [layer.op for layer in found.layers] == ["CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "FULLY_CONNECTED"]
    # 4x3 outputs of 5 channels: 27 taps each, then 9 each; 60 inputs to 7 outputs.
    assert [layer.macs for layer in found.layers] == [60 * 27, 60 * 9, 0, 420]
    assert found.macs == sum(layer.macs for layer in found.layers) == graph.macs
    assert [layer.parameters for layer in found.layers] == [5 * 27 + 5, 5 * 9 + 5, 0, 60 * 7 + 7]
    assert [layer.weights_bytes for layer in found.layers] == [5 * 27 + 20, 5 * 9 + 20, 0, 60 * 7 + 28]
    assert [layer.output_bytes for layer in found.layers] == [60, 60, 60, 7]
    assert (found.input_shape, found.output_shape) == ((1, 8, 6, 3), (1, 7))


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("net/conv_1/Relu;net/conv_1_norm/batchnorm/add_1;net/conv_1_kernel/convolution", "conv_1"),
        # Without an activation after it, the scope that TensorFlow itself opens for a normalization comes last.
        ("xception/middle_1_b_pw/batchnorm/add_1;xception/middle_1_b_pw_kernel/convolution", "middle_1_b_pw"),
        ("batchnorm/add_1", "batchnorm"),
        ("Identity", "Identity"),
        ("/", "max_pool_2d_0"),
    ],
)
def test_a_layer_has_its_own_name(tensor: str, layer: str) -> None:
    net = Net(4)
    output = net.pool("max", net.input((1, 4, 4, 3)))
    net.model.tensors[output] = replace(net.model.tensors[output], name=tensor)
    assert [op.name for op in read_model(net.done(output), "named").ops] == [layer]


@pytest.mark.parametrize("board", [None, "stm32f746"])
def test_memory_is_what_the_compiler_plans(graph: Graph, board: str | None) -> None:
    chosen = load_board(board) if board else None
    found = inspect_model(graph, chosen)
    program = compile_graph(graph, chosen.core if chosen else None)
    assert found.arena_bytes == program.plan.arena_bytes
    assert found.constants_bytes == program.constants_bytes
    assert [fit.board for fit in found.fits] == ([board] if board else [one.name for one in list_boards()])
    assert all(fit.fits for fit in found.fits)


def test_what_does_not_fit_is_said() -> None:
    net = Net(3)
    large = read_model(net.done(net.pool("max", net.input((1, 300, 300, 3)))), "large")  # 337,500 B alive at once
    fits = {fit.board: fit.fits for fit in inspect_model(large, None).fits}
    assert (fits["nucleo_l4r5zi"], fits["stm32f746"]) == (True, False)


def test_json_holds_every_fact(graph: Graph) -> None:
    stored = json.loads(inspection_json(inspect_model(graph, None)))
    assert stored["sha256"] == graph.sha256
    assert len(stored["layers"]) == 4
    assert set(stored["layers"][0]) == {
        *("index", "name", "op", "shape", "macs", "parameters", "weights_bytes", "output_bytes"),
    }


def test_boards_json() -> None:
    stored = {board["name"]: board for board in json.loads(boards_json(list_boards()))}
    assert stored["stm32f746"]["core_hz"] == 216_000_000
    assert stored["nucleo_l4r5zi"]["flash_bytes"] == 2 * 1024 * 1024
