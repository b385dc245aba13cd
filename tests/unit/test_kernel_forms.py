"""The form of a matrix kernel is that with the fewest predicted cycles, on a board whose flash is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.net import Net
from support.net_ops import concatenate
from support.speed_models import RELU6, SPEED_MODELS

from tinydeploy.boards import load_board
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.constants_place import choices
from tinydeploy.cores import CORES
from tinydeploy.kernel_forms import choose_forms, fit_to_board
from tinydeploy.kernels.matrix_cycles import has_cycles, matrix_cycles
from tinydeploy.optimize import Optimize
from tinydeploy.tflite import read_model

COUNTS = Path(__file__).parents[1] / "golden/expected/counts.txt"
L4R5 = load_board("nucleo_l4r5zi")


def program(model: bytes, optimize: Optimize = "balanced") -> Program:
    return compile_graph(read_model(model, "net"), L4R5.core, optimize=optimize)


def no_room() -> bytes:
    """The first layer of keyword spotting and one more: the arena has no room for copies of their weights."""
    net = Net(1)
    x = net.conv(net.input((1, 49, 10, 1)), 64, (10, 4), (2, 2), **RELU6)
    return net.done(net.conv(x, 76, (1, 1), **RELU6))


@pytest.mark.parametrize("name", ["mobilenet", "autoencoder"])
def test_cycles_are_those_that_the_virtual_board_counts(name: str) -> None:
    """Of plain products; windows take more at their borders, whatever their form."""
    compiled = compile_graph(read_model(SPEED_MODELS[name](), name), CORES["m4"])
    lines = [line.split(None, 2) for line in COUNTS.read_text().splitlines()[1:]]
    counted = {label: int(cycles.replace(",", "")) for _, cycles, label in lines}
    known = 0
    for number, step in enumerate(compiled.steps):
        shape = step.implementation.shape
        if step.implementation.template != "td_conv_s8_dsp" or not shape["pointwise"] or not has_cycles(shape):
            continue
        found = next(cycles for label, cycles in counted.items() if label.startswith(f"m4      {name} {number:02d} "))
        assert matrix_cycles(shape, loop_end=0) == pytest.approx(found, rel=0.05, abs=200), step.op.name
        known += 1
    assert known


def test_weights_that_stay_in_flash_are_read_less_often() -> None:
    plain = program(no_room())
    chosen = fit_to_board(plain, L4R5, "balanced")
    assert chosen.plan.arena_bytes <= plain.plan.arena_bytes
    first, second = choices(chosen)
    assert (first.residence, second.residence) == ("flash", "flash")
    assert first.form == "three pixels"
    assert first.form_cycles["three pixels"] < 0.98 * first.form_cycles["as on any board"]
    # A gain of one per cent is less than predictions are worth.
    assert second.form == "as on any board"
    assert second.form_cycles["three pixels"] < second.form_cycles["as on any board"]
    before, after = (sum(step.implementation.sweeps for step in one.steps) for one in (plain, chosen))
    assert after < before


@pytest.mark.parametrize("board", ["nucleo_f411re", "stm32f746"])
def test_other_boards_keep_the_forms_of_their_core(board: str) -> None:
    described = load_board(board)
    plain = compile_graph(read_model(no_room(), "net"), described.core)
    assert choose_forms(plain, described, "balanced") is plain


def test_parts_of_wider_tensors_keep_the_form_that_writes_them() -> None:
    net = Net(1)
    x = net.conv(net.input((1, 6, 7, 8)), 8, (1, 1))
    joined = concatenate(net, [net.conv(x, width, (1, 1), scale=0.05, zero_point=-3) for width in (24, 40)])
    plain = program(net.done(net.conv(joined, 5)))
    chosen = choose_forms(plain, L4R5, "balanced")
    assert plain.plan.pitches
    for before, after in zip(plain.steps, chosen.steps, strict=True):
        if before.op.output in plain.plan.pitches:
            assert after.implementation is before.implementation
