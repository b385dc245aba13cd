"""Kernels of cores without the DSP extension at their own limits: blocks, segments, tables, and what falls back."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.case import Build, Case
from support.compiled import build_core, build_host, make_unit
from support.net import Net
from support.net_ops import binary
from support.tflite_schema import Activation, Code, Padding

from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES
from tinydeploy.kernels.base import Implementation
from tinydeploy.tflite import read_model

M0PLUS = CORES["m0plus"]
RELU: dict[str, Any] = {"activation": Activation.RELU, "zero_point": -128}
# TFLM needs its output scale near what the accumulators reach, else all outputs clamp.
FULL: dict[str, Any] = {"gain": 0.02, "bias": "zero"}


def conv(shape: tuple[int, int, int], channels: int, **options: Any) -> Build:
    return lambda net: net.conv(net.input((1, *shape)), channels, **options)


def rows(count: int, depth: int, channels: int, **options: Any) -> Build:
    return lambda net: net.fully_connected(net.input((1, count, depth)), channels, keep_dims=True, **options)


def row(depth: int, channels: int) -> Build:
    return lambda net: net.fully_connected(net.input((1, depth)), channels)


def add(elements: int, scale: float, ratio: float, /, **options: Any) -> Build:
    def build(net: Net) -> int:
        a = net.input((1, 1, 1, elements), scale, 3)
        return net.add(a, net.depthwise(a, (1, 1), scale=float(np.float32(scale * ratio)), zero_point=-7), **options)

    return build


def subtract(elements: int, scale: float, ratio: float) -> Build:
    def build(net: Net) -> int:
        a = net.input((1, 1, 1, elements), scale, 3)
        b = net.depthwise(a, (1, 1), scale=float(np.float32(scale * ratio)), zero_point=-7)
        return binary(net, Code.SUB, a, b)

    return build


def cases() -> list[Case]:
    made: dict[str, Build] = {}
    for pixels in range(1, 20):
        made[f"shrinking-{pixels}-pixels"] = conv((1, pixels, 7), 5, kernel=(1, 1), **RELU)
        made[f"growing-{pixels}-pixels"] = conv((1, pixels, 5), 7, kernel=(1, 1), **RELU)
        made[f"windows-{pixels}-pixels"] = conv((1, pixels, 3), 4, padding=Padding.SAME, **RELU)
    for taps in (63, 64, 65, 66, 130, 200):
        for weights in ("plus127", "minus128", "extreme"):
            numbers = {**FULL, **RELU, "weights": weights}
            made[f"{taps}-taps-{weights}"] = conv((2, 5, taps), 4, kernel=(1, 1), **numbers)
            made[f"{taps}-taps-{weights}-rows"] = rows(4, taps, 5, weights=weights, **FULL)
    made["windows-in-segments"] = conv((4, 5, 24), 6, weights="extreme", **FULL)
    for taps in range(1, 10):
        for channels in (3, 4, 5, 8, 11):
            made[f"one-row-{taps}-to-{channels}"] = row(taps, channels)
    for scale in (0.02, 0.03, 0.11):
        for ratio in (0.1, 0.5, 0.77, 1.0, 3.0):
            made[f"add-{scale}-{ratio}"] = add(1024, scale, ratio)
            made[f"subtract-{scale}-{ratio}"] = subtract(1025, scale, ratio)
            made[f"add-relu-{scale}-{ratio}"] = add(1031, scale, ratio, activation=Activation.RELU6, zero_point=-128)
    # Every second sum is a tie, on both sides of zero: no two tables can round both ways.
    made["add-ties"] = add(1024, 2.0**-5, 2.0, scale=2.0**-3, zero_point=-3)
    return [Case("packed", name, build) for name, build in made.items()]


CASES = cases()


def kernels(case: Case) -> list[Implementation]:
    return [step.implementation for step in compile_graph(read_model(case.model(), case.id), M0PLUS).steps]


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@pytest.mark.parametrize("where", ["host", "core"])
def test_limits_equal_tflm(where: str, expected: Callable[[Case], NDArray[Any]], tmp_path: Path) -> None:
    if where == "core" and importlib.util.find_spec("unicorn") is None:
        pytest.skip("needs unicorn: pip install 'tinydeploy[virtual]'")
    units = [make_unit(case.id, case.model(), M0PLUS) for case in CASES]
    build = build_host(units, tmp_path) if where == "host" else build_core(units, M0PLUS, tmp_path)
    results = build.run([case.inputs() for case in CASES])
    wrong = [
        case.id
        for case, got in zip(CASES, results, strict=True)
        if not np.array_equal(got, expected(case).view(np.uint8))
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("taps", "weights", "segment"),
    [
        # 64 products of -128 and -128 make 2^20, one more than 21 bits hold; 127 times -128 leaves room for a 65th.
        (63, "minus128", 63),
        (64, "minus128", 32),
        (64, "plus127", 64),
        (65, "plus127", 36),
        (200, "minus128", 52),
    ],
)
def test_segments_are_as_long_as_the_weights_allow(taps: int, weights: str, segment: int) -> None:
    (kernel,) = kernels(named(f"{taps}-taps-{weights}"))
    assert kernel.shape["segment_taps"] == segment


def test_sums_of_two_tables_are_refused_where_ties_need_both_roundings() -> None:
    assert kernels(named("add-ties"))[-1].template == "td_add_s8"
    for other in ("add-0.02-0.77", "subtract-0.02-0.77"):
        assert kernels(named(other))[-1].template == "td_add_s8_tables"
