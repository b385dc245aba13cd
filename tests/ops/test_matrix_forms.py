"""Convolutions in the tiles that the matrix kernel chooses between, at sizes around their limits, equal TFLite Micro.

Filters of up to 16, 32 and more words, whose activations stand in FP registers wholly, partly or not at all; rows that
leave one, two or three pixels over; channels in twos and fours; short and long loops; padding, strides and groups.
"""

from __future__ import annotations

import importlib.util
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.case import Build, Case
from support.compiled import build_core, build_host, make_unit
from support.net import Net
from support.tflite_schema import Activation, Padding

from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES
from tinydeploy.tflite import read_model

Expected = Callable[[Case], NDArray[Any]]

DEPTHS = (1, 3, 8, 9, 15, 16, 17, 31, 32, 33, 34, 40, 64, 130)
SIZES = ((1, 2), (1, 3), (2, 2), (3, 3), (1, 5), (2, 3), (1, 7), (3, 4), (2, 5), (4, 4), (3, 6))
RELU: dict[str, Any] = {"activation": Activation.RELU, "zero_point": -128}


def pointwise(number: int) -> Case:
    rng = random.Random(number)
    depth, size, channels = DEPTHS[number % len(DEPTHS)], rng.choice(SIZES), rng.choice((2, 4, 4, 6, 8, 12, 16))
    numbers = rng.choice((RELU, RELU, {}, {"per_channel": False}, {"zero_point": 3}))

    def build(net: Net) -> int:
        return net.conv(net.input((1, *size, depth)), channels, kernel=(1, 1), **numbers)

    made: Build = build
    return Case("conv", f"{number}-{size}-{depth}-to-{channels}", made)


def window(number: int) -> Case:
    rng = random.Random(number)
    kernel, depth = rng.choice(
        (((3, 3), 1), ((3, 3), 3), ((2, 2), 3), ((2, 3), 5), ((3, 1), 9), ((1, 3), 10), ((5, 5), 3))
    )
    size, stride = (rng.randint(5, 7), rng.randint(5, 13)), rng.choice(((1, 1), (2, 2), (1, 2)))
    channels, padding = rng.choice((2, 4, 8)), rng.choice((Padding.SAME, Padding.VALID))

    def build(net: Net) -> int:
        return net.conv(net.input((1, *size, depth)), channels, kernel, stride, padding, **RELU)

    made: Build = build
    return Case("conv", f"{number}-{size}-{depth}-{kernel}-{stride}-to-{channels}", made)


# Blocks that run often are written out: enough of them for that.
LONG = Case("conv", "long", lambda net: net.conv(net.input((1, 8, 9, 96)), 64, kernel=(1, 1), **RELU))
CASES = [*map(pointwise, range(70)), *map(window, range(100, 130)), LONG]


def tiles(cases: list[Case]) -> Counter[tuple[int, int, bool]]:
    """How many kernels have blocks of so many pixels and pairs, and whether they hold all activations."""
    found: Counter[tuple[int, int, bool]] = Counter()
    for each in cases:
        for step in compile_graph(read_model(each.model(), each.id), CORES["m4"]).steps:
            shape: dict[str, Any] = dict(step.implementation.shape)
            for pixels in shape.get("sizes", ()):
                found[pixels, shape["pairs"], shape[f"held{pixels}"] == shape["units"]] += 1
    return found


def test_every_tile_occurs() -> None:
    found = tiles(CASES)
    wanted = {(4, 1, True), (2, 2, True), (2, 2, False), (3, 1, False), (2, 1, False), (1, 2, False)}
    assert min(found[tile] for tile in wanted) >= 3, found


def test_tiles_equal_tflm(expected: Expected, tmp_path: Path) -> None:
    units = [make_unit(each.id, each.model(), CORES["m4"]) for each in CASES]
    inputs = [each.inputs() for each in CASES]
    wanted = [expected(each).view(np.uint8) for each in CASES]
    builds: list[Any] = [build_host(units, tmp_path / "host")]
    if importlib.util.find_spec("unicorn") is not None:
        builds += [build_core(units, CORES[core], tmp_path / core) for core in ("m4", "m7")]
    for build in builds:
        for each, got, want in zip(CASES, build.run(inputs), wanted, strict=True):
            assert np.array_equal(got, want), f"{each.id} on {type(build).__name__}"
