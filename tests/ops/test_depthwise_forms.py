"""Depthwise convolutions in the forms that the DSP kernels treat apart, at random sizes, equal TFLite Micro.

Heights around the two-row limit, rows wide enough for loops and for registers as offsets, padding on any side, windows
up to 3 x 3 in the assembly kernel and beyond in the planes kernel, and every form of requantization.
"""

from __future__ import annotations

import importlib.util
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.case import Build, Case
from support.compiled import Unit, build_core, build_host, make_unit
from support.net import Net
from support.tflite_schema import Activation, Padding

from tinydeploy.cores import CORES

Expected = Callable[[Case], NDArray[Any]]

SMALL = ((3, 3), (3, 3), (3, 3), (1, 3), (3, 1), (2, 2), (2, 3), (3, 2))
LARGE = ((5, 5), (7, 7), (10, 4), (10, 8), (9, 1), (1, 9), (4, 6), (5, 1), (20, 1))
# (height, width, channels), each up to: low and high images, wide rows, long rows.
SIZES = ((16, 16, 9), (16, 16, 9), (6, 14, 520), (5, 100, 4))
EXACT = {"input": {"scale": 2.0**-5}, "scale": 2.0**-4}
NUMBERS: tuple[dict[str, Any], ...] = (
    {},
    {"activation": Activation.RELU, "zero_point": -128},
    {"activation": Activation.RELU6, "zero_point": -128, "input": {"zero_point": 5}},
    {"zero_point": 0, "input": {"zero_point": 0}},
    {"zero_point": 100, "input": {"zero_point": 127}},
    {"per_channel": False},
    {"gain": 40.0},
    {"bias": "high", "weights": "plus127"},
    {
        "multipliers": (2.0**-7, 2.0**-13, 1.3 * 2.0**-16),
        "bias": "high",
        "activation": Activation.RELU,
        "zero_point": -128,
    },
    {**EXACT, "multipliers": (0.5, 0.25, 2.0**-4, 2.0**-5), "weights": "sparse"},
    {**EXACT, "multipliers": (0.25,), "weights": "sparse"},
    {**EXACT, "multipliers": (2.0**-24, 1.3e-8, 6.1e-8), "bias": "high"},
)


def case(number: int, kernels: tuple[tuple[int, int], ...]) -> Case:
    rng = random.Random(number)
    kernel, (height, width, channels) = rng.choice(kernels), rng.choice(SIZES)
    shape = (
        rng.randint(max(2, kernel[0]), max(height, kernel[0])),
        rng.randint(max(2, kernel[1]), max(width, kernel[1])),
        rng.randint(1 + channels // 2, channels),
    )
    stride = rng.choice(((1, 1), (1, 1), (2, 2), (1, 2), (2, 1)))
    numbers = dict(rng.choice(NUMBERS))
    source = numbers.pop("input", {})
    options = {"kernel": kernel, "stride": stride, "padding": rng.choice((Padding.SAME, Padding.SAME, Padding.VALID))}
    if kernels is LARGE and channels < 10:
        options["depth_multiplier"] = rng.choice((1, 1, 3))

    def build(net: Net) -> int:
        return net.depthwise(net.input((1, *shape), **source), **options, **numbers)

    made: Build = build
    return Case("depthwise", f"{number}-{shape}-{kernel}-{stride}", made)


SMALL_CASES = [case(number, SMALL) for number in range(100, 160)]
LARGE_CASES = [case(number, LARGE) for number in range(200, 240)]


def kernels_of(units: list[Unit]) -> Counter[str]:
    return Counter(path for unit in units for path in unit.files if path.startswith("td_depthwise"))


@pytest.mark.parametrize(
    ("cases", "template"),
    [(SMALL_CASES, "td_depthwise3x3_s8_dsp.c"), (LARGE_CASES, "td_depthwise_planes_s8_dsp.c")],
    ids=["small", "large"],
)
def test_forms_equal_tflm(cases: list[Case], template: str, expected: Expected, tmp_path: Path) -> None:
    units = [make_unit(each.id, each.model(), CORES["m4"]) for each in cases]
    assert kernels_of(units)[template] > len(units) // 3
    inputs = [each.inputs() for each in cases]
    wanted = [expected(each).view(np.uint8) for each in cases]
    builds: list[Any] = [build_host(units, tmp_path / "host")]
    if importlib.util.find_spec("unicorn") is not None:
        builds.append(build_core(units, CORES["m4"], tmp_path / "m4"))
    for build in builds:
        for each, got, want in zip(cases, build.run(inputs), wanted, strict=True):
            assert np.array_equal(got, want), f"{each.id} on {type(build).__name__}"
