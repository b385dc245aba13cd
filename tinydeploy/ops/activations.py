"""Activation functions as operators of their own: RELU, RELU6, LEAKY_RELU, HARD_SWISH, LOGISTIC and TANH.

Each maps one int8 to one int8, so the compiler evaluates TFLite Micro's arithmetic for all 256 values, and what runs is
a table. Products and quotients of scales are doubles, as in the wheel; sources of TFLM exist that use floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinydeploy.fixedpoint import (
    INT32_MAX,
    IntArray,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from tinydeploy.graph import Tensor
from tinydeploy.ops.base import Node
from tinydeploy.ops.exponentials import logistic, tanh
from tinydeploy.ops.quantize import Lookup, byte_values

# LOGISTIC and TANH see their input as Q4.27.
_INPUT_INTEGER_BITS = 4


def read_relu(node: Node) -> Lookup:
    """RELU: rescaled to the output, then cut below its zero point."""
    source, output = _edges(node)
    factor = quantize_multiplier(_ratio(node, source.quantization.scale, output.quantization.scale))
    centred = byte_values("int8") - source.quantization.zero_point
    scaled = multiply_by_quantized_multiplier(centred, factor.mantissa, factor.shift) + output.quantization.zero_point
    return _lookup(node, np.maximum(scaled, output.quantization.zero_point))


def read_relu6(node: Node) -> Lookup:
    """RELU6: cut at 0 and 6 on the input's own scale; the output's is not looked at."""
    source, _ = _edges(node)
    quant = source.quantization
    six = _quantized_six(node, quant.scale) + quant.zero_point
    return _lookup(node, np.clip(byte_values("int8"), quant.zero_point, min(six, 127)))


def _quantized_six(node: Node, scale: float) -> int:
    with np.errstate(over="ignore"):
        scaled = float(np.float32(6) / np.float32(scale))
    if not scaled <= 2.0**30:
        node.fail(f"the input scale {scale:g} is too small for its activation")
    return math.floor(scaled + 0.5)


def read_leaky_relu(node: Node) -> Lookup:
    """LEAKY_RELU: one factor for what is not negative, another for what is."""
    source, output = _edges(node)
    alpha = node.options.number(0) if node.options is not None else 0.0
    input_scale, output_scale = source.quantization.scale, output.quantization.scale
    identity = quantize_multiplier(_ratio(node, input_scale, output_scale))
    slope = quantize_multiplier(_ratio(node, input_scale * abs(alpha), output_scale))
    centred = byte_values("int8") - source.quantization.zero_point
    above = multiply_by_quantized_multiplier(centred, identity.mantissa, identity.shift)
    below = multiply_by_quantized_multiplier(centred, slope.mantissa, slope.shift)
    scaled = np.where(centred >= 0, above, below if alpha >= 0 else -below)
    return _lookup(node, scaled + output.quantization.zero_point)


def read_hard_swish(node: Node) -> Lookup:
    """HARD_SWISH: ``x * relu6(x + 3) / 6`` in TFLM's 16-bit arithmetic (hard_swish.h)."""
    source, output = _edges(node)
    fine_scale = source.quantization.scale / 128
    to_output, output_shift = _short_multiplier(_ratio(node, fine_scale, output.quantization.scale))
    to_unit, unit_shift = _short_multiplier(_ratio(node, fine_scale, 3 / 32768))
    # Beyond these, TFLM's 16-bit shifts say nothing sensible.
    if not (-15 <= output_shift <= 0 and -15 <= unit_shift <= 31):
        node.fail("its scales give a multiplier out of range")
    fine = (byte_values("int8") - source.quantization.zero_point) << 7
    scaled = _high_mul_16(fine, to_output)
    # The input over 3, saturated to [-1, 1), in Q0.15; the last left shift is the one that may saturate visibly.
    unit = _saturate_16(fine << max(unit_shift - 1, 0))
    unit = _high_mul_16(unit, to_unit)
    unit = _saturate_16(unit << 1) if unit_shift > 0 else rounding_divide_by_pot(unit, -unit_shift)
    gate = (unit + (1 << 15)) >> 1
    product = gate * scaled
    towards_zero = np.where(product < 0, -(-product >> 15), product >> 15)
    return _lookup(node, rounding_divide_by_pot(towards_zero, -output_shift) + output.quantization.zero_point)


def _short_multiplier(real: float) -> tuple[int, int]:
    """A multiplier with a 15-bit mantissa, and its shift."""
    factor = quantize_multiplier(real)
    if factor.mantissa >= INT32_MAX - (1 << 15):
        return (1 << 15) - 1, factor.shift
    return (factor.mantissa + (1 << 15)) >> 16, factor.shift


def _saturate_16(values: IntArray) -> IntArray:
    return np.clip(values, -(1 << 15), (1 << 15) - 1)


def _high_mul_16(values: IntArray, factor: int) -> IntArray:
    """High 16 bits of twice the product, rounded half up; `factor` is not negative, so nothing saturates."""
    return (values * factor + (1 << 14)) >> 15


def read_logistic(node: Node) -> Lookup:
    """LOGISTIC, with 8 fractional bits; the output's zero point must be -128, its scale is taken to be 1/256."""
    _, output = _edges(node)
    if output.quantization.zero_point != -128:
        node.fail(f"its output has zero point {output.quantization.zero_point}, which TFLite Micro refuses")
    return _lookup(node, _saturating_curve(node, lambda x: rounding_divide_by_pot(logistic(x, 4), 23) - 128))


def read_tanh(node: Node) -> Lookup:
    """TANH, with 7 fractional bits; the output's quantization is taken to be 1/128 and 0."""
    return _lookup(node, _saturating_curve(node, lambda x: rounding_divide_by_pot(tanh(x, 4), 24)))


def _saturating_curve(node: Node, curve: Callable[[IntArray], IntArray]) -> IntArray:
    """A sigmoid of the input as Q4.27: the least and the greatest value where the input leaves that."""
    source, _ = _edges(node)
    real = source.quantization.scale * (1 << (31 - _INPUT_INTEGER_BITS))
    if not 1.0 <= real < 2.0**60:
        node.fail(f"its input scale {source.quantization.scale:g} is out of range")
    factor = quantize_multiplier(real)
    radius = math.floor(15 * 2.0 ** (31 - _INPUT_INTEGER_BITS) / 2.0**factor.shift)
    centred = byte_values("int8") - source.quantization.zero_point
    inside = np.abs(centred) < radius
    rescaled = multiply_by_quantized_multiplier(np.where(inside, centred, 0), factor.mantissa, min(factor.shift, 31))
    # An input of zero with a radius of zero is among the least.
    outside = np.where(centred <= -radius, -128, 127)
    return np.where(inside, curve(rescaled), outside)


def _edges(node: Node) -> tuple[Tensor, Tensor]:
    """Input and output, checked."""
    node.arity(1, 1)
    source, output = node.activation(0), node.output
    node.per_tensor_int8(source, output)
    if source.shape != output.shape:
        node.fail(f"{source.shape} in, {output.shape} out")
    return source, output


def _ratio(node: Node, above: float, below: float) -> float:
    """The quotient of two scales, checked."""
    ratio = above / below
    if not ratio < 2.0**22:
        node.fail("its scales give a multiplier out of range")
    return ratio


def _lookup(node: Node, values: IntArray) -> Lookup:
    source, output = _edges(node)
    table = np.clip(values, -128, 127).astype(np.int8)
    return Lookup(node.name, node.index, (source.index,), output.index, table, node.kind)
