"""A streamed input: rows pushed in any portions, or a whole input at once, give what the whole graph gives."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.net import Net
from support.tflite_schema import Padding

from tinydeploy.codegen import generate
from tinydeploy.compiler import compile_graph
from tinydeploy.graph import Graph
from tinydeploy.optimize import Optimize
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model

HEIGHT, WIDTH = 21, 10


def network() -> Graph:
    """A strided first layer whose windows leave the last input row unread, then layers that can join it."""
    net = Net(3)
    x = net.input((1, HEIGHT, WIDTH, 3))
    x = net.conv(x, 8, kernel=(3, 3), stride=(2, 2), padding=Padding.VALID)
    x = net.depthwise(x, kernel=(3, 3))
    x = net.add(x, net.conv(x, 8))
    return read_model(net.done(net.conv(x, 4)), "streamed")


class Streamed:
    """The compiled model as a shared library."""

    def __init__(self, graph: Graph, optimize: Optimize, folder: Path) -> None:
        program = compile_graph(graph, None, optimize=optimize, stream_input=True)
        files = generate(program).files
        for name, text in files.items():
            (folder / name).write_text(text)
        library = folder / "model.so"
        sources = [str(folder / name) for name in files if name.endswith(".c")]
        flags = ["-O1", "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        command = [sys.executable, "-m", "ziglang", "cc", *flags, "-o", str(library), *sources]
        subprocess.run(command, check=True, capture_output=True, text=True)
        self.arena_bytes = program.plan.arena_bytes
        self._library = ctypes.CDLL(str(library))
        self._output = np.zeros(graph.tensors[graph.output].shape, np.int8)

    def begin(self) -> None:
        self._library.model_begin()

    def push(self, rows: NDArray[np.int8]) -> None:
        self._library.model_push_rows(rows.ctypes.data_as(ctypes.c_void_p), len(rows))

    def end(self) -> NDArray[np.int8]:
        self._library.model_end(self._output.ctypes.data_as(ctypes.c_void_p))
        return self._output.copy()

    def invoke(self, rows: NDArray[np.int8]) -> NDArray[np.int8]:
        self._library.model_invoke(rows.ctypes.data_as(ctypes.c_void_p), self._output.ctypes.data_as(ctypes.c_void_p))
        return self._output.copy()


@pytest.fixture(scope="module", params=["balanced", "ram"])
def streamed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Streamed:
    return Streamed(network(), request.param, tmp_path_factory.mktemp("streamed"))


def inputs() -> NDArray[np.int8]:
    return np.random.default_rng(0).integers(-128, 128, (HEIGHT, WIDTH, 3), np.int8)


def expected(rows: NDArray[np.int8]) -> NDArray[np.int8]:
    graph = network()
    return run_graph(graph, rows)[graph.output]


def portions(rows: NDArray[np.int8], sizes: Sequence[int]) -> Iterator[NDArray[np.int8]]:
    at = 0
    while at < len(rows):
        for size in sizes:
            yield rows[at : at + size]
            at += size


@pytest.mark.parametrize("sizes", [(1,), (2,), (3, 1), (5, 2, 7), (HEIGHT,)], ids=str)
def test_rows_come_in_any_portions(streamed: Streamed, sizes: tuple[int, ...]) -> None:
    rows = inputs()
    streamed.begin()
    for portion in portions(rows, sizes):
        # The rows may be reused as soon as they are taken.
        own = portion.copy()
        streamed.push(own)
        own[:] = 77
    np.testing.assert_array_equal(streamed.end(), expected(rows))


def test_a_whole_input_at_once(streamed: Streamed) -> None:
    np.testing.assert_array_equal(streamed.invoke(inputs()), expected(inputs()))


def test_an_inference_that_was_left_is_forgotten(streamed: Streamed) -> None:
    rows = inputs()
    streamed.begin()
    streamed.push(rows[:9])
    streamed.begin()
    streamed.push(rows)
    np.testing.assert_array_equal(streamed.end(), expected(rows))


def test_rows_too_many_are_dropped(streamed: Streamed) -> None:
    rows = inputs()
    streamed.begin()
    streamed.push(rows)
    streamed.push(rows)
    np.testing.assert_array_equal(streamed.end(), expected(rows))


def test_the_input_has_no_room_in_the_arena() -> None:
    net = Net(5)
    x = net.input((1, 64, 64, 3))
    graph = read_model(net.done(net.pool("average", net.conv(x, 2, stride=(2, 2)), (32, 32))), "large")
    program = compile_graph(graph, None, stream_input=True)
    assert program.streamed
    assert program.plan.arena_bytes < graph.tensors[graph.input].size_bytes
