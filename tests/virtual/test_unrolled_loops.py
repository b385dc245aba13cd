"""Loops that are unrolled further for a board, on the virtual one: as exact as before, and as fast as predicted."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from support.counting import count_model
from support.net import Net

from tinydeploy.boards import load_board
from tinydeploy.compiler import compile_graph
from tinydeploy.constants_place import waiting_cycles
from tinydeploy.kernel_forms import compile_for
from tinydeploy.kernels.matrix_cycles import matrix_cycles
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("unicorn") is None, reason="needs unicorn: pip install 'tinydeploy[virtual]'"
)


def test_the_cortex_m7_gains_what_is_predicted(tmp_path: Path) -> None:
    board, net = load_board("stm32f746"), Net(4)
    x = net.input((1, 128))
    for _ in range(4):
        x = net.fully_connected(x, 128)
    graph = read_model(net.done(x), "net")
    programs = compile_graph(graph, board.core), compile_for(graph, board)
    counted = []
    for name, program in zip(("plain", "chosen"), programs, strict=True):
        count = count_model(program, board.core, tmp_path / name, steps=True, board=board)
        assert count.output == run_graph(graph, count.input)[graph.output].tobytes()
        for step, found in zip(program.steps, count.steps, strict=True):
            kernel = step.implementation
            predicted = matrix_cycles(kernel.shape, "m7", 0) + waiting_cycles(kernel, board.part)
            assert predicted == pytest.approx(found.cycles, rel=0.07), found.label
        counted.append(count.cycles)
    gained = sum(
        form.cycles["as on any board"] - form.cycles["unrolled further"]
        for step in programs[1].steps
        if (form := step.implementation.form) is not None
    )
    assert counted[0] - counted[1] == pytest.approx(gained, rel=0.25)
