"""One table of small models per operator: shapes, strides, paddings, activations, scales and accumulators at the ends.

A case is a model of one operator (ADD has one more before it, to have two differently scaled inputs). Every test level
runs the same tables: numpy reference, C on the host, C on the virtual cores.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from support.case import Build, Case
from support.cases_elementwise import elementwise_cases
from support.cases_matrix import matrix_cases
from support.cases_movement import movement_cases
from support.net import Net
from support.tflite_schema import Activation, Padding

SAME, VALID = Padding.SAME, Padding.VALID


def _conv(shape: tuple[int, ...], channels: int, /, input: dict[str, Any] | None = None, **options: Any) -> Build:
    return lambda net: net.conv(net.input((1, *shape), **(input or {})), channels, **options)


def _depthwise(shape: tuple[int, ...], /, input: dict[str, Any] | None = None, **options: Any) -> Build:
    return lambda net: net.depthwise(net.input((1, *shape), **(input or {})), **options)


def _fully_connected(shape: tuple[int, ...], channels: int, /, input: dict[str, Any] | None = None, **o: Any) -> Build:
    return lambda net: net.fully_connected(net.input((1, *shape), **(input or {})), channels, **o)


EXACT = {"input": {"scale": 2.0**-5}, "scale": 2.0**-4}
"""Scales that make `multipliers` exact."""
TIES = (0.5, 0.25, 0.125, 2.0**-4, 2.0**-5, 2.0**-6, 2.0**-7, 2.0**-8)

NUMBERS: dict[str, dict[str, Any]] = {
    # Multipliers that are powers of two put every second accumulator, or so, on a rounding tie.
    "ties": {**EXACT, "multipliers": TIES, "weights": "sparse"},
    "ties-relu": {**EXACT, "multipliers": TIES, "weights": "sparse", "activation": Activation.RELU, "zero_point": -128},
    "ties-zero-point": {**EXACT, "multipliers": TIES, "weights": "sparse", "zero_point": 127},
    # The scales themselves are not powers of two: the factor is one half only if it is computed in double precision.
    "almost-ties": {"multipliers": (0.5, 0.25, 0.125), "weights": "small"},
    "almost-ties-per-tensor": {"multipliers": (0.5,), "weights": "small", "per_channel": False},
    "shift-left": {**EXACT, "multipliers": (1.0, 1.5, 2.0, 3.0, 4.0, 0.75), "bias": "zero", "weights": "small"},
    "multiplier-zero": {**EXACT, "multipliers": (2.0**-33, 2.0**-32, 2.0**-31, 2.0**-30, 2.0**-40)},
    "multiplier-almost-one": {
        **EXACT,
        "multipliers": (1 - 2.0**-24, 1 + 2.0**-23, 0.5 + 2.0**-24, 0.5 - 2.0**-25),
        "weights": "small",
    },
    "tiny-multiplier-high-bias": {**EXACT, "multipliers": (2.0**-24, 1.3e-8, 2.0**-25, 6.1e-8), "bias": "high"},
    "tiny-multiplier-low-bias": {**EXACT, "multipliers": (2.0**-24, 1.3e-8, 2.0**-25, 6.1e-8), "bias": "low"},
    "accumulator-high": {"bias": "high", "weights": "plus127"},
    "accumulator-low": {"bias": "low", "weights": "minus128"},
    "saturating": {"gain": 40.0},
    "weak": {"gain": 0.02},
    "per-tensor": {"per_channel": False},
    "no-bias": {"bias": "none"},
    "weights-ends": {"weights": "extreme"},
    "zero-points-low": {"input": {"zero_point": -128}, "zero_point": -128},
    "zero-points-high": {"input": {"zero_point": 127}, "zero_point": 127},
    "zero-points-crossed": {"input": {"zero_point": 127}, "zero_point": -128, "activation": Activation.RELU6},
    "scales-tiny": {"input": {"scale": 1e-6}, "scale": 3e-7},
    "scales-huge": {"input": {"scale": 1e4}, "scale": 7e3},
    **{
        f"{activation.name.lower()}-scale-{scale}": {"activation": activation, "scale": scale}
        for activation in (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)
        for scale in (0.0235294122248888, 0.2, 3.0)
    },
}


def conv_cases() -> Iterator[Case]:
    """CONV_2D."""
    for i, (kernel, stride, padding) in enumerate(
        itertools.product(((1, 1), (3, 3), (2, 2), (1, 3), (5, 1)), ((1, 1), (2, 2), (1, 2), (3, 1)), (SAME, VALID))
    ):
        size = ((7, 5), (8, 8), (5, 9), (6, 7))[i % 4]
        yield Case(
            "conv",
            f"k{kernel}-s{stride}-{padding.name}",
            _conv((*size, 3), 5, kernel=kernel, stride=stride, padding=padding),
        )
    for channels in range(1, 34):
        yield Case(
            "conv", f"pointwise-{channels}-to-{34 - channels}", _conv((3, 5, channels), 34 - channels, kernel=(1, 1))
        )
    for channels in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33):
        yield Case("conv", f"3x3-{channels}-to-{channels % 9 + 1}", _conv((5, 4, channels), channels % 9 + 1))
    for name, shape, options in (
        ("image-first-layer", (11, 11, 3), {"stride": (2, 2), "kernel": (3, 3)}),
        ("grey-first-layer", (12, 10, 1), {"stride": (2, 2), "kernel": (3, 3)}),
        ("audio-10x4", (25, 10, 1), {"kernel": (10, 4), "stride": (2, 2)}),
        ("kernel-larger-than-input", (3, 2, 4), {"kernel": (5, 5)}),
        ("one-pixel", (1, 1, 7), {}),
        ("one-row", (1, 16, 4), {"kernel": (1, 5)}),
        ("one-column", (16, 1, 4), {"kernel": (5, 1)}),
        ("7x1", (9, 3, 3), {"kernel": (7, 1)}),
        ("1x7", (3, 9, 3), {"kernel": (1, 7)}),
        ("stride-over-kernel", (9, 9, 2), {"kernel": (1, 1), "stride": (3, 3)}),
        ("stride-past-the-end", (5, 5, 2), {"kernel": (3, 3), "stride": (4, 4), "padding": SAME}),
        ("dilation-2", (9, 8, 3), {"dilation": (2, 2)}),
        ("dilation-3x1-valid", (11, 5, 3), {"dilation": (3, 1), "padding": VALID}),
        ("dilation-wider-than-input", (4, 4, 2), {"dilation": (4, 4)}),
        ("groups-2", (5, 5, 8), {"groups": 2}),
        ("groups-3-pointwise", (4, 4, 9), {"groups": 3, "kernel": (1, 1)}),
        ("groups-all", (5, 5, 6), {"groups": 6}),
    ):
        yield Case("conv", name, _conv(shape, 6, **options))
    for name, numbers in NUMBERS.items():
        yield Case("conv", f"{name}-pointwise", _conv((3, 4, 10), 9, kernel=(1, 1), **numbers))
        yield Case("conv", f"{name}-3x3", _conv((4, 5, 3), 7, **numbers))


def depthwise_cases() -> Iterator[Case]:
    """DEPTHWISE_CONV_2D."""
    for i, (kernel, stride, padding) in enumerate(
        itertools.product(((3, 3), (1, 1), (2, 3), (5, 5)), ((1, 1), (2, 2), (2, 1), (3, 3)), (SAME, VALID))
    ):
        size = ((7, 5), (8, 8), (5, 9), (6, 7))[i % 4]
        build = _depthwise((*size, 4), kernel=kernel, stride=stride, padding=padding)
        yield Case("depthwise", f"k{kernel}-s{stride}-{padding.name}", build)
    for channels in range(1, 34):
        stride = (1 + channels % 2, 1 + channels % 2)
        yield Case("depthwise", f"channels-{channels}", _depthwise((5, 6, channels), stride=stride))
    for width in range(1, 13):
        yield Case("depthwise", f"width-{width}", _depthwise((3, width, 2)))
        yield Case("depthwise", f"width-{width}-stride-2", _depthwise((4, width, 2), stride=(2, 2)))
    for name, shape, options in (
        ("multiplier-2", (5, 5, 3), {"depth_multiplier": 2}),
        ("multiplier-3-stride-2", (5, 6, 4), {"depth_multiplier": 3, "stride": (2, 2)}),
        ("multiplier-8-one-channel", (6, 5, 1), {"depth_multiplier": 8, "kernel": (10, 8), "stride": (2, 2)}),
        ("kernel-larger-than-input", (2, 3, 5), {"kernel": (5, 7)}),
        ("whole-input", (5, 4, 6), {"kernel": (5, 4), "padding": VALID}),
        ("one-pixel", (1, 1, 5), {}),
        ("one-row", (1, 16, 3), {"kernel": (1, 5)}),
        ("one-column", (16, 1, 3), {"kernel": (7, 1)}),
        ("3x1", (6, 5, 4), {"kernel": (3, 1)}),
        ("1x3-stride-1x2", (6, 7, 4), {"kernel": (1, 3), "stride": (1, 2)}),
        ("10x8", (12, 9, 3), {"kernel": (10, 8)}),
        ("dilation-2", (9, 8, 3), {"dilation": (2, 2)}),
        ("dilation-2x3-valid", (11, 10, 3), {"dilation": (2, 3), "padding": VALID}),
        ("stride-past-the-end", (5, 5, 2), {"stride": (4, 4)}),
    ):
        yield Case("depthwise", name, _depthwise(shape, **options))
    for name, numbers in NUMBERS.items():
        yield Case("depthwise", name, _depthwise((5, 6, 9), **numbers))


def fully_connected_cases() -> Iterator[Case]:
    """FULLY_CONNECTED."""
    for depth in range(1, 34):
        yield Case("fully_connected", f"{depth}-to-{34 - depth}", _fully_connected((depth,), 34 - depth))
    layers: tuple[tuple[str, tuple[int, ...], int, dict[str, Any]], ...] = (
        ("640-to-4", (640,), 4, {}),
        ("127-to-3-per-channel", (127,), 3, {"per_channel": True}),
        ("of-an-image", (3, 4, 5), 6, {}),
        ("rows", (7, 6), 5, {"keep_dims": True}),
        ("rows-of-an-image", (3, 2, 9), 4, {"keep_dims": True, "per_channel": True}),
    )
    for name, shape, channels, options in layers:
        yield Case("fully_connected", name, _fully_connected(shape, channels, **options))
    for name, numbers in NUMBERS.items():
        yield Case("fully_connected", name, _fully_connected((21,), 10, **{"per_channel": True, **numbers}))
    for power in (0, 1, 2, 3):
        numbers = {**EXACT, "multipliers": (2.0**-power,), "weights": "small", "bias": "zero"}
        yield Case("fully_connected", f"ties-per-tensor-{power}", _fully_connected((9,), 12, **numbers))


def add_cases() -> Iterator[Case]:
    """ADD of the input and a rescaled copy of it (a 1x1 depthwise convolution)."""

    def add(
        scale_a: float, scale_b: float, zero_a: int, zero_b: int, /, shape: Any = (3, 5, 7), **options: Any
    ) -> Build:
        def build(net: Net) -> int:
            a = net.input((1, *shape), scale_a, zero_a)
            return net.add(a, net.depthwise(a, (1, 1), scale=scale_b, zero_point=zero_b), **options)

        return build

    for i, (a, b) in enumerate(itertools.product((1e-3, 0.02, 0.5, 1.0), (1e-4, 0.02, 0.03, 1.0))):
        yield Case("add", f"scales-{a}-{b}", add(a, b, (3, -128, 127, 0)[i % 4], (-5, 127, -128, 1)[i // 4]))
    for activation, scale in itertools.product(Activation, (0.0235294122248888, 0.1, 1.0)):
        yield Case("add", f"{activation.name}-{scale}", add(0.02, 0.05, -128, 7, activation=activation, scale=scale))
    for shift in range(-19, 4, 2):
        yield Case("add", f"output-scale-2^{shift}", add(0.5, 0.25, 3, -9, scale=2.0**shift, zero_point=5))
    for scale in (2.0**-4, 2.0**-3, 2.0**-2):
        yield Case("add", f"ties-{scale}", add(2.0**-5, 2.0**-4, 0, 0, scale=scale, zero_point=-3))
    for size in (1, 2, 3, 4, 5, 63, 65):
        yield Case("add", f"elements-{size}", add(0.02, 0.03, 1, 2, shape=(1, 1, size)))

    def same_twice(net: Net) -> int:
        a = net.input((1, 4, 3, 5))
        return net.add(a, a)

    def constant(net: Net) -> int:
        a = net.input((1, 4, 3, 5))
        data = net.rng.integers(-128, 128, (1, 1, 1, 5)).astype(np.int8)
        return net.add(a, net.constant(data, net.model.tensors[a].quant))

    def over_pixels(net: Net) -> int:
        a = net.input((1, 4, 3, 5))
        return net.add(net.mean(a, keep_dims=True), a)

    def over_rows_and_channels(net: Net) -> int:
        a = net.input((1, 4, 3, 5))
        return net.add(net.mean(a, (1,), keep_dims=True), net.mean(a, (3,), keep_dims=True))

    yield Case("add", "same-tensor-twice", same_twice)
    yield Case("add", "constant-per-channel", constant)
    yield Case("add", "broadcast-over-pixels", over_pixels)
    yield Case("add", "broadcast-both-ways", over_rows_and_channels)


def pool_cases() -> Iterator[Case]:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""

    def pool(
        kind: Any, shape: tuple[int, ...], filter: Any, stride: Any, /, input: Any = None, **options: Any
    ) -> Build:
        return lambda net: net.pool(kind, net.input((1, *shape), **(input or {})), filter, stride, **options)

    for kind in ("average", "max"):
        op = f"{kind}_pool"
        for filter, stride, padding in itertools.product(
            ((2, 2), (3, 3), (1, 4), (5, 3)), ((1, 1), (2, 2), (1, 3)), (SAME, VALID)
        ):
            build = pool(kind, (7, 6, 3), filter, stride, padding=padding)
            yield Case(op, f"f{filter}-s{stride}-{padding.name}", build)
        for channels in (1, 2, 4, 5, 8, 9, 16, 17, 33):
            yield Case(op, f"channels-{channels}", pool(kind, (5, 5, channels), (2, 2), (2, 2), padding=SAME))
        for size in ((3, 3), (4, 4), (6, 6), (25, 5)):
            yield Case(op, f"global-{size}", pool(kind, (*size, 8), size, size))
        yield Case(op, "filter-larger-than-input", pool(kind, (3, 2, 4), (5, 6), (1, 1), padding=SAME))
        yield Case(op, "one-pixel", pool(kind, (1, 1, 3), (1, 1), (1, 1)))
        for activation, scale in itertools.product(list(Activation)[1:], (0.0235294122248888, 0.2)):
            extra = {"activation": activation, "padding": SAME}
            build = pool(kind, (5, 5, 4), (3, 3), (2, 2), {"scale": scale, "zero_point": -20}, **extra)
            yield Case(op, f"{activation.name}-{scale}", build)


def mean_cases() -> Iterator[Case]:
    """MEAN."""

    def mean(shape: tuple[int, ...], axes: tuple[int, ...], /, input: Any = None, **options: Any) -> Build:
        return lambda net: net.mean(net.input((1, *shape), **(input or {})), axes, **options)

    for axes, keep in itertools.product(((1, 2), (2, 1), (1,), (2,), (3,), (-1,), (2, 3), (1, 2, 3)), (False, True)):
        yield Case("mean", f"axes{axes}-keep-{keep}", mean((5, 4, 6), axes, keep_dims=keep))
    for channels in (1, 2, 3, 4, 5, 8, 9, 16, 17, 33):
        yield Case("mean", f"channels-{channels}", mean((3, 3, channels), (1, 2)))
    for size in ((1, 1), (2, 2), (7, 7), (25, 5), (32, 32)):
        yield Case("mean", f"size-{size}", mean((*size, 4), (1, 2)))
    for ratio in (1.0, 0.5, 0.25, 3.0, 1e-3, 50.0, 1e-9, 1000.0):
        scales = {"input": {"scale": 0.125, "zero_point": -3}, "scale": float(np.float32(0.125 / ratio))}
        yield Case("mean", f"ratio-{ratio}", mean((4, 4, 5), (1, 2), **scales))
    for zero_point in (-128, 127):
        yield Case(
            "mean",
            f"zero-point-{zero_point}",
            mean((3, 5, 4), (1, 2), {"zero_point": zero_point}, zero_point=-zero_point - 1),
        )
    yield Case("mean", "of-a-vector", mean((9,), (1,)))
    yield Case("mean", "of-rows", mean((6, 5), (1,)))


def softmax_cases() -> Iterator[Case]:
    """SOFTMAX."""

    def softmax(shape: tuple[int, ...], scale: float, beta: float = 1.0) -> Build:
        return lambda net: net.softmax(net.input((1, *shape), scale), beta)

    for depth in (*range(1, 34), 100, 511):
        yield Case("softmax", f"classes-{depth}", softmax((depth,), 0.05 * (1 + depth % 7)))
    for scale in (2e-8, 1e-6, 1e-3, 0.01, 0.0625, 0.25, 1.0, 8.0, 31.0, 33.0, 1e3, 1e6):
        yield Case("softmax", f"scale-{scale}", softmax((12,), scale))
    for beta in (0.1, 0.5, 2.0, 10.0):
        yield Case("softmax", f"beta-{beta}", softmax((7,), 0.1, beta))
    yield Case("softmax", "rows", softmax((5, 6), 0.1))
    yield Case("softmax", "image", softmax((3, 2, 4), 0.2))


def edge_cases() -> Iterator[Case]:
    """QUANTIZE and DEQUANTIZE."""

    def requantize(scale: float, new_scale: float, zero: int, new_zero: int, dtype: str = "int8") -> Build:
        return lambda net: net.quantize(net.input((1, 3, 86), scale, zero), new_scale, new_zero, dtype)

    for i, ratio in enumerate((1.0, 0.5, 0.25, 2.0, 0.3, 1.7, 1e-3, 300.0, 1e-10)):
        for zero, new_zero in ((-128, -100), (3, -5)):
            build = requantize(0.125, float(np.float32(0.125 / ratio)), zero, new_zero)
            yield Case("quantize", f"ratio-{ratio}-zero-points-{zero}-{new_zero}-{i}", build)
    yield Case("quantize", "to-uint8-same-scale", requantize(0.1, 0.1, -128, 0, "uint8"))
    yield Case("quantize", "to-uint8", requantize(0.1, 0.17, -28, 31, "uint8"))

    def from_float(scale: float, zero_point: int) -> Build:
        return lambda net: net.quantize(net.float_input((1, 3, 43)), scale, zero_point)

    def dequantize(scale: float, zero_point: int) -> Build:
        return lambda net: net.dequantize(net.input((1, 3, 86), scale, zero_point))

    def from_uint8(net: Net) -> int:
        x = net.activation((1, 3, 86), 0.1, 128, "uint8")
        net.model.inputs.append(x)
        return net.quantize(x, 0.1, 0)

    yield Case("quantize", "from-uint8", from_uint8)
    for scale, zero_point in ((0.5, 0), (0.25, -128), (0.1, 127), (3.7e-3, 12)):
        yield Case("quantize", f"from-float-{scale}-{zero_point}", from_float(scale, zero_point))
    for scale, zero_point in ((0.5, 0), (0.1, -128), (0.0039215688593685627, 127), (1e-30, 3), (1e30, -3)):
        yield Case("dequantize", f"{scale}-{zero_point}", dequantize(scale, zero_point))


TABLES: dict[str, list[Case]] = {}
for _table in (
    conv_cases,
    functools.partial(matrix_cases, NUMBERS),
    depthwise_cases,
    fully_connected_cases,
    add_cases,
    pool_cases,
    mean_cases,
    movement_cases,
    elementwise_cases,
    softmax_cases,
    edge_cases,
):
    for _case in _table():
        TABLES.setdefault(_case.op, []).append(_case)

ALL_CASES: list[Case] = list(itertools.chain.from_iterable(TABLES.values()))
