"""Concatenations and splits whose parts stand where the wider tensor has them: no copy, no second buffer, same bits."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import net_ops as more
from support.case import Build, Case
from support.compiled import build_core, build_host, unit_of
from support.net import Net
from support.qemu_units import build_qemu, needs_qemu

from tinydeploy.compiler import Program, compile_graph
from tinydeploy.cores import CORES, VIRTUAL_CORES, Core
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.tflite import read_model

QUANT: dict[str, Any] = {"scale": 0.05, "zero_point": -3}
KERNELS = ((1, 1), (3, 3), (1, 3), (3, 3), (1, 1))
# Parts of one concatenation: even widths run in assembly, odd ones in C; 24 and 40 two pixels at a time.
WIDTHS = {"even": (6, 10, 4, 8, 2), "odd": (3, 10, 5, 1, 7), "wide": (24, 40, 16, 8, 64)}
# Channels, height and width, stride: short and long rows, two rows at a time and more, two columns at a time and one.
DEPTHWISE: dict[str, tuple[int, tuple[int, int], int]] = {
    "many rows": (5, (13, 8), 1),
    "by two": (6, (14, 27), 2),
    "long": (4, (3, 40), 1),
    "wide": (33, (5, 5), 1),
}


def module(*widths: int, size: tuple[int, int] = (6, 7), after: bool = True) -> Build:
    """Convolutions of one input side by side, the last but one in groups; then one of all of them, if `after`."""

    def build(net: Net) -> int:
        x = net.conv(net.input((1, *size, 8)), 8, (1, 1))
        groups = (1, 1, 1, 2 if widths[3] % 2 == 0 else 1, 1)
        each = zip(widths, KERNELS, groups, strict=True)
        joined = more.concatenate(net, [net.conv(x, width, kernel, groups=g, **QUANT) for width, kernel, g in each])
        return net.conv(joined, 5, (3, 3)) if after else joined

    return build


def read_elsewhere(net: Net) -> int:
    """A part that another operator reads must lie in one piece."""
    x = net.input((1, 5, 5, 4))
    parts = [net.conv(x, 4, (1, 1), **QUANT) for _ in range(2)]
    joined = more.concatenate(net, parts)
    return more.concatenate(net, [net.conv(joined, 4, (1, 1), **QUANT), net.depthwise(parts[0], (3, 3), **QUANT)])


def pools(net: Net) -> int:
    """Pools beside a convolution."""
    x = net.conv(net.input((1, 6, 6, 4)), 6, (1, 1), **QUANT)
    parts = [
        net.pool("max", x, (2, 2)),
        net.conv(x, 5, (3, 3), (2, 2), **QUANT),
        net.pool("average", x, (2, 2)),
    ]
    return net.conv(more.concatenate(net, parts), 6, (1, 1))


def depthwise(channels: int, size: tuple[int, int] = (6, 9), stride: int = 1) -> Build:
    """Depthwise convolutions side by side, one for each kernel that there is, beside a convolution."""

    def build(net: Net) -> int:
        x = net.conv(net.input((1, *size, 3)), channels, (1, 1), **QUANT)
        kernels = ((3, 3), (1, 3), (5, 5), (2, 2), (7, 3))
        parts = [net.depthwise(x, kernel, (stride, stride), **QUANT) for kernel in kernels]
        parts += [
            net.depthwise(x, (3, 3), (stride, stride), depth_multiplier=2, **QUANT),
            net.conv(x, 7, (3, 3), (stride, stride), **QUANT),
        ]
        joined = more.concatenate(net, parts)
        return net.conv(joined, 5, (1, 1))

    return build


def branches(*widths: int, reader: tuple[int, int] = (1, 1)) -> Build:
    """The parts of a tensor, each by an operator of its own, joined again."""

    def build(net: Net) -> int:
        x = net.depthwise(net.input((1, 5, 7, sum(widths))), (3, 3), **QUANT)
        read = [net.conv(part, 6, reader, **QUANT) for part in more.split_v(net, x, widths)]
        return net.conv(more.concatenate(net, read), 5, (1, 1))

    return build


def gathered(net: Net) -> int:
    """A part that a shuffle reads besides a convolution."""
    x = net.depthwise(net.input((1, 4, 5, 12)), (3, 3), **QUANT)
    part = more.split(net, x, 2)[1]
    mixed = more.concatenate(net, [more.shuffle(net, part, 3), net.conv(part, 4, (1, 1), **QUANT)])
    return net.depthwise(mixed, (3, 3))


SPLITS = (
    Case("split", "even", branches(4, 8, 12)),
    Case("split", "odd", branches(3, 5, 7, 1)),
    Case("split", "gathered", gathered),
)
CASES = (
    *SPLITS,
    Case("split", "windows", branches(4, 8, reader=(3, 3))),
    Case("joined", "pools", pools),
    *(Case("joined", name, module(*widths)) for name, widths in WIDTHS.items()),
    Case("joined", "one pixel", module(*WIDTHS["even"], size=(1, 1))),
    Case("joined", "a row", module(*WIDTHS["even"], size=(1, 9))),
    Case("joined", "output", module(*WIDTHS["even"], after=False)),
    *(Case("joined", f"depthwise {name}", depthwise(*shape)) for name, shape in DEPTHWISE.items()),
    Case("joined", "read elsewhere", read_elsewhere),
)

WINDOWS, POOLS, *JOINED = CASES[len(SPLITS) : -1]


def compiled(case: Case, core: Core | None) -> Program:
    """For speed, which copies nothing that need not be, whatever the arena."""
    return compile_graph(read_model(case.model(), case.id), core, optimize="speed")


def copies(program: Program) -> int:
    """Concatenations that are still to be done by a step of their own."""
    return sum(step.op.kind == "CONCATENATION" for step in program.steps)


@pytest.mark.parametrize("core", CORES)
def test_parts_are_written_in_place(core: str) -> None:
    for case in JOINED:
        program = compiled(case, CORES[core])
        assert copies(program) == 0, case.id
        [joined] = [op for op in program.graph.ops if op.kind == "CONCATENATION"]
        assert set(program.plan.pitches) == set(joined.inputs)


@pytest.mark.parametrize("core", CORES)
def test_parts_of_a_split_are_read_in_place(core: str) -> None:
    for case in SPLITS:
        program = compiled(case, CORES[core])
        assert not [step.op for step in program.steps if isinstance(step.op, ChannelGather) and step.op.is_split], (
            case.id
        )


@pytest.mark.parametrize("core", CORES)
def test_pools_write_in_place_too(core: str) -> None:
    assert copies(compiled(POOLS, CORES[core])) == 0


def test_the_arena_grows_for_speed_alone() -> None:
    """Copies may lie over what they are made of, so a tensor that stands whole can be dearer."""
    for case in (SPLITS[0], SPLITS[2], POOLS):
        fast = compiled(case, CORES["m4"])
        small = compile_graph(read_model(case.model(), case.id), CORES["m4"])
        assert small.plan.arena_bytes < fast.plan.arena_bytes, case.id
        assert len(small.steps) > len(fast.steps)


def test_the_joined_tensor_needs_no_memory_besides_its_parts() -> None:
    """Parts of 152 channels beside their joined tensor would be twice as much."""
    program = compiled(JOINED[2], CORES["m4"])
    joined = 6 * 7 * sum(WIDTHS["wide"])
    assert program.plan.arena_bytes < 1.5 * joined


def test_what_cannot_be_placed_is_copied() -> None:
    """A part of a concatenation with another reader; one of a split for windows."""
    assert copies(compiled(CASES[-1], CORES["m4"])) == 1
    gathers = [step.op for step in compiled(WINDOWS, CORES["m4"]).steps if isinstance(step.op, ChannelGather)]
    assert len(gathers) == 2


def test_c_on_the_host_equals_tflm(expected: Callable[[Case], NDArray[Any]], tmp_path: Path) -> None:
    made = [(case, core) for case in CASES for core in (None, CORES["m4"], CORES["m0plus"])]
    units = [unit_of(compiled(case, core), f"{case.id}, {core.name if core else 'any'}") for case, core in made]
    inputs = [case.inputs() for case, _ in made]
    for unit, got, (case, _) in zip(units, build_host(units, tmp_path).run(inputs), made, strict=True):
        np.testing.assert_array_equal(got, expected(case).view(np.uint8), err_msg=unit.id)


@pytest.mark.skipif(importlib.util.find_spec("unicorn") is None, reason="needs unicorn: tinydeploy[virtual]")
@pytest.mark.parametrize("core", VIRTUAL_CORES)
def test_c_on_a_virtual_core_equals_tflm(core: str, expected: Callable[[Case], NDArray[Any]], tmp_path: Path) -> None:
    units = [unit_of(compiled(case, CORES[core]), case.id) for case in CASES]
    build = build_core(units, CORES[core], tmp_path)
    for case, got in zip(CASES, build.run([case.inputs() for case in CASES]), strict=True):
        np.testing.assert_array_equal(got, expected(case).view(np.uint8), err_msg=case.id)


@needs_qemu
def test_vectors_on_qemu_equal_tflm(expected: Callable[[Case], NDArray[Any]], tmp_path: Path) -> None:
    build = build_qemu([unit_of(compiled(case, CORES["m55"]), case.id) for case in CASES], tmp_path)
    for case, got in zip(CASES, build.run([case.inputs() for case in CASES]), strict=True):
        np.testing.assert_array_equal(got, expected(case).view(np.uint8), err_msg=case.id)
