"""Kernels for MVE equal TFLite Micro on QEMU's Cortex-M55: operators' cases, the kernels' own limits, whole models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from support.case import Build, Case
from support.cases import TABLES
from support.compiled import make_unit, unit_of
from support.net import Net
from support.qemu_units import CORE, build_qemu, needs_qemu
from support.strategies import seeded_network
from support.tflite_schema import Activation, Padding

from tinydeploy.compiler import compile_graph
from tinydeploy.optimize import Optimize
from tinydeploy.oracle import Oracle
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model
from tinydeploy.toolchain import Toolchain

Expected = Callable[[Case], NDArray[Any]]

RELU: dict[str, Any] = {"activation": Activation.RELU, "zero_point": -128}
# Sums that meet ties, on both sides of zero, and shifts that differ between channels.
TIES: dict[str, Any] = {"scale": 2.0**-4, "multipliers": (0.25, 2.0**-4, 2.0**-5), "weights": "sparse"}
NUMBERS: dict[str, dict[str, Any]] = {
    "relu": RELU,
    "relu6": {"activation": Activation.RELU6, "zero_point": -100, "scale": 0.03},
    "none": {"zero_point": 11},
    "ties": TIES,
    "ties-relu": {**TIES, **RELU},
    "saturating": {"gain": 40.0},
    "bias": {"bias": "high", "weights": "plus127"},
    "lowest": {"weights": "minus128", **RELU},
    "between": {"activation": Activation.RELU_N1_TO_1, "scale": 0.02, "zero_point": 3},
}


def source(net: Net, shape: tuple[int, ...], numbers: dict[str, Any]) -> int:
    exact = "multipliers" in numbers
    return net.input((1, *shape), **({"scale": 2.0**-5, "zero_point": 0} if exact else {}))


def conv(shape: tuple[int, int, int], channels: int, /, **options: Any) -> Build:
    return lambda net: net.conv(source(net, shape, options), channels, **options)


def depthwise(shape: tuple[int, int, int], /, **options: Any) -> Build:
    return lambda net: net.depthwise(source(net, shape, options), **options)


def rows(count: int, depth: int, channels: int, /, **options: Any) -> Build:
    return lambda net: net.fully_connected(source(net, (count, depth), options), channels, keep_dims=True, **options)


def add(elements: int, /, **options: Any) -> Build:
    def build(net: Net) -> int:
        a = net.input((1, 1, 1, elements), 0.02, 3)
        return net.add(a, net.conv(a, elements, (1, 1), scale=0.0123, zero_point=-7), **options)

    return build


def cases() -> list[Case]:
    made: dict[str, Build] = {}
    point: dict[str, Any] = {"kernel": (1, 1), **RELU}
    for pixels in range(1, 10):
        for channels in (1, 2, 7):
            made[f"{pixels}-pixels-to-{channels}"] = conv((1, pixels, 5), channels, **point)
        made[f"windows-{pixels}-pixels"] = conv((2, pixels, 3), 4, padding=Padding.SAME, **RELU)
    # Around a chunk, around what is written without a loop, and past an immediate operand's reach.
    for depth in (1, 8, 15, 16, 17, 31, 32, 33, 48, 128, 129, 144, 145, 160, 256, 577, 1100):
        made[f"{depth}-deep"] = conv((1, 5, depth), 3, **point)
        made[f"{depth}-deep-row"] = rows(1, depth, 5)
    for name, shape, options in (
        ("rows-apart", (6, 9, 16), {"padding": Padding.VALID}),
        ("rows-together", (9, 11, 3), {"stride": (2, 2)}),
        ("no-gap-saved", (5, 8, 7), {"padding": Padding.VALID}),
        ("wide-stride", (9, 30, 3), {"stride": (2, 3), "padding": Padding.VALID}),
        ("tall", (20, 10, 1), {"kernel": (10, 4), "stride": (2, 2)}),
        ("all-inside", (6, 10, 4), {"padding": Padding.VALID, "kernel": (3, 3)}),
        ("1x1-stride-2", (8, 8, 20), {"kernel": (1, 1), "stride": (2, 2)}),
    ):
        made[name] = conv(shape, 6, **options, **RELU)
    for height in (1, 2, 3, 4, 7):
        for width in (1, 2, 3, 4, 5, 7, 8, 9, 17, 26):
            for stride in (1, 2):
                made[f"depthwise-{height}x{width}-by-{stride}"] = depthwise(
                    (height, width, 3), stride=(stride, stride), **(RELU if width % 2 else {})
                )
    for kernel in ((1, 1), (1, 3), (3, 1), (2, 2), (2, 3)):
        for padding in Padding:
            made[f"depthwise-{kernel}-{padding.name}"] = depthwise((7, 9, 5), kernel=kernel, padding=padding, **RELU)
    for elements in (7, 8, 9, 30):
        made[f"add-{elements}"] = add(elements)
        made[f"add-relu6-{elements}"] = add(elements, activation=Activation.RELU6, scale=0.02)
    made["depthwise-long-steps"] = depthwise((5, 49, 90), **RELU)
    for name, numbers in NUMBERS.items():
        made[f"conv-{name}"] = conv((3, 5, 20), 7, kernel=(1, 1), **numbers)
        made[f"depthwise-{name}"] = depthwise((5, 7, 9), **numbers)
        made[f"depthwise-{name}-by-2"] = depthwise((6, 9, 4), stride=(2, 2), **numbers)
    return [Case("mve", name, build) for name, build in made.items()]


def kernels(data: bytes) -> list[str]:
    return [step.implementation.template for step in compile_graph(read_model(data, "case"), CORE).steps]


def check(chosen: list[Case], expected: Expected, folder: Path) -> None:
    build = build_qemu([make_unit(case.id, case.model(), CORE) for case in chosen], folder)
    got = build.run([case.inputs() for case in chosen])
    wrong = [
        case.id for case, raw in zip(chosen, got, strict=True) if not np.array_equal(raw, expected(case).view(np.uint8))
    ]
    assert not wrong


@needs_qemu
def test_limits_equal_tflm(expected: Expected, tmp_path: Path) -> None:
    chosen = cases()
    assert all(any("_mve" in name for name in kernels(case.model())) for case in chosen)
    check(chosen, expected, tmp_path)


@needs_qemu
def test_operators_equal_tflm(expected: Expected, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    found = [case for op in TABLES for case in TABLES[op] if any("_mve" in name for name in kernels(case.model()))]
    share = 1 if request.config.getoption("--all-cores") else 4
    check(found[::share], expected, tmp_path)


@needs_qemu
def test_random_networks_equal_tflm(oracle: Oracle, tmp_path: Path) -> None:
    units, inputs, wanted = [], [], []
    for seed in range(3000, 3016):
        network = seeded_network(seed)
        for optimize in get_args(Optimize):
            program = compile_graph(read_model(network.data, f"seed {seed}, {optimize}"), CORE, optimize=optimize)
            units.append(unit_of(program, program.graph.name))
            inputs.append(network.inputs)
            wanted.append(oracle.run(network.data, network.inputs).reshape(len(network.inputs), -1))
    for unit, got, want in zip(units, build_qemu(units, tmp_path).run(inputs), wanted, strict=True):
        np.testing.assert_array_equal(got, want.view(np.uint8), err_msg=unit.id)


@needs_qemu
@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_the_reference_models_layer_by_layer(shared_models: list[Path], toolchain: Toolchain, tmp_path: Path) -> None:
    if toolchain == "gcc" and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    graphs = [read_model(path.read_bytes(), path.stem) for path in shared_models]
    programs = [compile_graph(graph, CORE, keep_constant_channels=keep) for graph in graphs for keep in (False, True)]
    units = [unit_of(program, program.graph.name) for program in programs]
    build = build_qemu(units, tmp_path, toolchain=toolchain)
    rng = np.random.default_rng(1)
    for number, program in enumerate(programs):
        values = rng.integers(-128, 128, program.graph.tensors[program.graph.input].shape, np.int8)
        wanted = run_graph(program.graph, values)
        for step, arena in zip(program.steps, build.arenas(number, values), strict=True):
            want = wanted[step.op.output]
            at = program.plan.tensors[step.op.output]
            assert arena[at : at + want.nbytes] == want.tobytes(), f"{program.graph.name}: {step.op.name}"


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("left-shift", conv((2, 2, 8), 4, kernel=(1, 1), multipliers=(3.0,), scale=2.0**-4)),
        ("no-shift-and-ties", conv((2, 2, 8), 4, kernel=(1, 1), multipliers=(0.5,), scale=2.0**-4)),
        ("groups", conv((4, 4, 8), 4, groups=2)),
        ("dilation", conv((6, 6, 4), 4, dilation=(2, 2))),
        ("depthwise-5x5", depthwise((8, 8, 4), kernel=(5, 5))),
        ("depthwise-stride-3", depthwise((9, 9, 4), stride=(3, 3))),
    ],
)
def test_what_is_not_covered_falls_back(name: str, build: Build) -> None:
    assert not any("_mve" in kernel for kernel in kernels(Case("mve", name, build).model()))
