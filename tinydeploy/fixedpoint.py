"""TFLite Micro's fixed-point arithmetic, once, in numpy: the meaning that every kernel must reproduce bit for bit.

Source: tensorflow/lite/kernels/internal/common.cc and quantization_util.cc of tflite-micro, built with double rounding
(``TFLITE_SINGLE_ROUNDING`` off), which is how the reference and the CMSIS-NN kernels are built.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

INT32_MIN = -(1 << 31)
INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Multiplier:
    """A positive real factor as ``mantissa * 2**(shift - 31)``; mantissa is 0 or in [2**30, 2**31), shift >= -31."""

    mantissa: int
    shift: int


def quantize_multiplier(real: float) -> Multiplier:
    """The fixed-point form of a non-negative double, flushed to zero below about 2**-32 (QuantizeMultiplier)."""
    if real == 0.0:
        return Multiplier(0, 0)
    fraction, shift = math.frexp(real)
    # std::round: half away from zero; the argument is positive and the product exact.
    mantissa = math.floor(fraction * (1 << 31) + 0.5)
    if mantissa == 1 << 31:
        mantissa //= 2
        shift += 1
    if shift < -31:
        return Multiplier(0, 0)
    return Multiplier(mantissa, shift)


def wrap_int32(x: IntArray) -> IntArray:
    """`x` modulo 2**32 into the int32 range: what a 32-bit register holds."""
    return ((x + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def saturating_rounding_doubling_high_mul(a: IntArray, b: IntArray | int) -> IntArray:
    """High 32 bits of ``2 * a * b``, rounded half up; the single overflow (both INT32_MIN) saturates.

    gemmlowp states it with a sign-dependent nudge and a truncating division; that equals the floor used here, since for
    negative products ``trunc((p + 1 - 2**30) / 2**31) == floor((p + 2**30) / 2**31)``.
    """
    product = a * np.int64(b) if isinstance(b, int) else a * b
    return np.minimum((product + (1 << 30)) >> 31, INT32_MAX)


def rounding_divide_by_pot(x: IntArray, exponent: IntArray | int) -> IntArray:
    """``x / 2**exponent`` rounded to nearest, halves away from zero."""
    exponent = np.asarray(exponent, dtype=np.int64)
    mask = (np.int64(1) << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + (remainder > threshold)


def multiply_by_quantized_multiplier(x: IntArray, mantissa: IntArray | int, shift: IntArray | int) -> IntArray:
    """``x * mantissa * 2**(shift - 31)`` in TFLM's two roundings (MultiplyByQuantizedMultiplier).

    `x` holds int32 values; `mantissa` and `shift` broadcast against it. A left shift wraps, as in a 32-bit register.
    """
    mantissa = np.asarray(mantissa, dtype=np.int64)
    shift = np.asarray(shift, dtype=np.int64)
    shifted = wrap_int32(x << np.maximum(shift, 0))
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, mantissa), np.maximum(-shift, 0))
