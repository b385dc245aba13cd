"""Tables of cases for element-wise operators, ADD apart: activation functions and operators of two operands."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from support import net_ops as more
from support.case import Build, Case
from support.net import Net
from support.tflite_schema import Activation, Code

SHAPE = (1, 3, 86)  # every int8 value, and two more


def elementwise_cases() -> Iterator[Case]:
    """RELU, RELU6, LEAKY_RELU, HARD_SWISH, LOGISTIC, TANH, SUB, MUL, MAXIMUM, MINIMUM."""
    yield from _unary_cases()
    yield from _binary_cases()


def _unary(
    code: Code,
    scale: float,
    zero_point: int,
    output: tuple[float | None, int | None] = (None, None),
    alpha: float = 0.0,
) -> Build:
    return lambda net: more.unary(
        net, code, net.input(SHAPE, float(np.float32(scale)), zero_point), *output, alpha=alpha
    )


def _unary_cases() -> Iterator[Case]:
    for i, scale in enumerate((1e-4, 0.003, 0.0235294122248888, 0.047, 0.1, 0.5, 1.7, 9.0, 400.0)):
        zero_point = (-128, 0, 5, 127, -77)[i % 5]
        for code in (Code.LOGISTIC, Code.TANH, Code.RELU6):
            yield Case(code.name.lower(), f"scale-{scale}", _unary(code, scale, zero_point))
    for zero_point in (-128, -1, 127):
        for code in (Code.LOGISTIC, Code.TANH, Code.RELU6, Code.RELU, Code.HARD_SWISH):
            yield Case(code.name.lower(), f"zero-point-{zero_point}", _unary(code, 0.04, zero_point))
    for scale, ratio, zeros in itertools.product((0.02, 0.11), (1.0, 0.5, 1.7, 0.37), ((-128, -128), (3, -90))):
        new = (float(np.float32(scale * ratio)), zeros[1])
        name = f"scale-{scale}-ratio-{ratio}-zero-points-{zeros}"
        yield Case("relu", name, _unary(Code.RELU, scale, zeros[0], new))
        for alpha in (0.0, 0.1, 0.3, 1.5, -0.25):
            yield Case("leaky_relu", f"{name}-alpha-{alpha}", _unary(Code.LEAKY_RELU, scale, zeros[0], new, alpha))
    scales = ((0.0235, 0.0235), (0.05, 0.03), (0.3, 0.2), (1e-3, 1e-3), (1e-3, 3e-5), (2.0, 2.0), (0.0117, 0.004))
    for (scale, new_scale), zeros in itertools.product(scales, ((-128, -128), (0, 0), (-4, -115), (127, -3))):
        yield Case(
            "hard_swish",
            f"{scale}-{new_scale}-{zeros}",
            _unary(Code.HARD_SWISH, scale, zeros[0], (float(np.float32(new_scale)), zeros[1])),
        )


def _binary_cases() -> Iterator[Case]:
    shapes = (
        ((4, 3, 5), (4, 3, 5)),
        ((4, 3, 5), (1, 1, 5)),
        ((1, 1, 5), (4, 3, 5)),
        ((4, 3, 5), (4, 3, 1)),
        ((4, 1, 5), (1, 3, 1)),
        ((4, 3, 5), (1, 1, 1)),
        ((4, 3, 1), (1, 3, 5)),
        ((9,), (9,)),
    )
    for code in (Code.SUB, Code.MUL, Code.MAXIMUM, Code.MINIMUM, Code.ADD):
        op = code.name.lower()
        for a, b in shapes:
            yield Case(op, f"{a}-{b}", _of_shapes(code, a, b))
        for shape, first in itertools.product(((1, 1, 5), (4, 3, 5), (1,), (), (3, 1)), (False, True)):
            yield Case(op, f"constant-{shape}-{'first' if first else 'second'}", _with_constant(code, shape, first))
        yield Case(op, "with-itself", _squared(code))
        if code in (Code.SUB, Code.MUL):
            yield from _arithmetic_cases(code)


def _arithmetic_cases(code: Code) -> Iterator[Case]:
    op = code.name.lower()
    for i, (a, b) in enumerate(itertools.product((1e-3, 0.02, 0.5, 1.0), (1e-4, 0.02, 0.03, 1.0))):
        zeros = (3, -128, 127, 0)[i % 4], (-5, 127, -128, 1)[i // 4]
        yield Case(op, f"scales-{a}-{b}", _of_quants(code, (a, b), zeros))
    for activation, scale in itertools.product(Activation, (0.0235294122248888, 0.1, 1.0)):
        options = {"activation": activation, "scale": scale, "zero_point": -20}
        yield Case(op, f"{activation.name}-{scale}", _of_quants(code, (0.02, 0.05), (-128, 7), **options))
    for shift in range(-19, 4, 2):
        options = {"scale": 2.0**shift, "zero_point": 5}
        scales = (0.5, 0.25) if code is Code.SUB else (2.0**-6, 2.0**-5)
        yield Case(op, f"output-scale-2^{shift}", _of_quants(code, scales, (3, -9), **options))
    for scale in (2.0**-4, 2.0**-3, 2.0**-2):
        options = {"scale": scale, "zero_point": -3}
        yield Case(op, f"ties-{scale}", _of_quants(code, (2.0**-5, 2.0**-4), (0, 0), **options))
    for size in (1, 2, 3, 4, 5, 63, 65):
        yield Case(op, f"elements-{size}", _of_shapes(code, (size,), (size,)))


def _rescaled(net: Net, x: int, scale: float, zero_point: int) -> int:
    return net.quantize(x, float(np.float32(scale)), zero_point)


def _of_quants(code: Code, scales: tuple[float, float], zeros: tuple[int, int], **options: Any) -> Build:
    """The input and a rescaled copy of it, a row of that turned around."""

    def build(net: Net) -> int:
        x = net.input((1, 6, 43), float(np.float32(scales[0])), zeros[0])
        y = more.strided(net, x, slice(None), slice(None, None, -1), slice(None))
        return more.binary(net, code, x, _rescaled(net, y, scales[1], zeros[1]), **options)

    return build


def _of_shapes(code: Code, a: tuple[int, ...], b: tuple[int, ...]) -> Build:
    """Two slices of one input; outputs that overflow a rank are cut from the start."""

    def build(net: Net) -> int:
        whole = tuple(max(sizes) for sizes in zip(a, b, strict=True))
        x = net.input((1, *whole))
        sides = [x if shape == whole else more.take(net, x, (0,) * (len(shape) + 1), (1, *shape)) for shape in (a, b)]
        return more.binary(net, code, sides[0], _rescaled(net, sides[1], net.scale(x) * 0.7, 11), zero_point=-4)

    return build


def _with_constant(code: Code, shape: tuple[int, ...], first: bool) -> Build:
    def build(net: Net) -> int:
        x = net.input((1, 4, 3, 5))
        operand = more.constant(net, shape, net.scale(x) * 1.3, -7)
        return more.binary(net, code, *((operand, x) if first else (x, operand)), zero_point=9)

    return build


def _squared(code: Code) -> Build:
    def build(net: Net) -> int:
        x = net.input(SHAPE)
        return more.binary(net, code, x, x)

    return build
