"""The form of a matrix kernel is that with the fewest predicted cycles, on a board whose flash is known."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from support.net import Net
from support.net_ops import concatenate
from support.speed_models import RELU6, SPEED_MODELS

from tinydeploy.boards import Board, load_board
from tinydeploy.codegen import generate
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.constants_place import choices
from tinydeploy.constants_report import constants_report
from tinydeploy.cores import CORES
from tinydeploy.flash_reads import flash_reads_of
from tinydeploy.kernel_forms import choose_forms, fit_to_board
from tinydeploy.kernels.matrix_cycles import has_cycles, matrix_code_bytes, matrix_cycles, matrix_loop_bytes
from tinydeploy.optimize import Optimize
from tinydeploy.tflite import read_model

COUNTS = Path(__file__).parents[1] / "golden/expected/counts.txt"
L4R5, F746 = load_board("nucleo_l4r5zi"), load_board("stm32f746")


def program(model: bytes, optimize: Optimize = "balanced", board: Board = L4R5) -> Program:
    return compile_graph(read_model(model, "net"), board.core, optimize=optimize)


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
        assert matrix_cycles(shape, "m4", loop_end=0) == pytest.approx(found, rel=0.05, abs=200), step.op.name
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


def alike(count: int) -> bytes:
    """Layers that share one function, whose loops turn thrice."""
    net = Net(4)
    x = net.input((1, 128))
    for _ in range(count):
        x = net.fully_connected(x, 128)
    return net.done(x)


def test_loops_are_unrolled_where_that_is_worth_its_flash() -> None:
    plain = program(alike(4), board=F746)
    chosen = choose_forms(plain, F746, "balanced")
    forms = [step.implementation.form for step in chosen.steps]
    assert {form.name for form in forms if form is not None} == {"unrolled further"}
    before, after = (
        sum(matrix_cycles(step.implementation.shape, "m7", 0) for step in one.steps) for one in (plain, chosen)
    )
    flash = [matrix_code_bytes([step.implementation.shape for step in one.steps]) for one in (plain, chosen)]
    spent = (flash[1] - flash[0]) / (plain.constants_bytes + flash[0])
    assert 0 < spent < 1 - after / before
    assert generate(plain).files.keys() == generate(chosen).files.keys()


def test_the_report_names_the_form_with_its_cycles_and_its_code() -> None:
    chosen = fit_to_board(program(alike(4), board=F746), F746, "balanced")
    form = chosen.steps[0].implementation.form
    assert form is not None
    said = constants_report([asdict(choice) for choice in choices(chosen)], "a model of cycles")[-1]
    cycles, code = form.cycles, form.code_bytes
    further = f"{cycles['unrolled further']:,} cycles, {code['unrolled further']:,} B of code"
    own = f"{cycles['as on any board']:,} cycles, {code['as on any board']:,} B of code"
    assert f"Step 0: unrolled further, predicted {further}; as on any board {own}." in str(said).splitlines()


def test_loops_stay_where_another_function_would_be_called_too_rarely() -> None:
    """One layer gains as much of its cycles as four alike, and takes as much code as they do together."""
    net = Net(4)
    x = net.fully_connected(net.input((1, 128)), 16)
    chosen = choose_forms(program(net.done(net.fully_connected(x, 160)), board=F746), F746, "balanced")
    form = chosen.steps[0].implementation.form
    assert form is not None
    assert form.name == "as on any board"
    assert form.cycles["unrolled further"] < 0.98 * form.cycles["as on any board"]
    assert form.code_bytes["unrolled further"] > 2 * form.code_bytes["as on any board"]


def test_no_loop_outgrows_the_cache_of_code() -> None:
    """What is worth it on the F746 does not fit the L4R5's 1 KiB, though it is predicted to save more there."""
    longest = {}
    for board in (L4R5, F746):
        chosen = choose_forms(program(alike(4), board=board), board, "balanced")
        longest[board.name] = max(matrix_loop_bytes(step.implementation.shape) for step in chosen.steps)
    reads = flash_reads_of(L4R5.part)
    assert reads is not None
    assert longest[L4R5.name] <= reads.code_cache_bytes < longest[F746.name]


@pytest.mark.parametrize("board", ["nucleo_f411re", "nucleo_u575zi", "nucleo_f767zi"])
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
