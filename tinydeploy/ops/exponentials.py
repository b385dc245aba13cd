"""gemmlowp's fixed-point exponential, reciprocal, logistic and tanh (fixedpoint.h), on arrays of raw int32 values.

Qm.n has m integer and n fractional bits; m + n is 31. TFLite Micro's int8 SOFTMAX, LOGISTIC and TANH compute with them.
"""

from __future__ import annotations

import numpy as np

from tinydeploy.fixedpoint import INT32_MAX, INT32_MIN, IntArray, rounding_divide_by_pot
from tinydeploy.fixedpoint import saturating_rounding_doubling_high_mul as high_mul

# exp(-2**k) in Q0.31 for k = -2 .. 4: the barrel shifter of exp_on_negative_values.
_EXP_OF_MINUS_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def exp_on_negative_values(a: IntArray, integer_bits: int) -> IntArray:
    """exp of values in (-2**integer_bits, 0], at most 5 integer bits, as Q0.31."""
    quarter = 1 << (31 - integer_bits - 2)
    remainder_quarter = (a & (quarter - 1)) - quarter
    # Taylor expansion around -1/8 on [-1/4, 0), in Q0.31.
    x = (remainder_quarter << integer_bits) + (1 << 28)
    x2 = high_mul(x, x)
    x3, x4 = high_mul(x2, x), high_mul(x2, x2)
    tail = rounding_divide_by_pot(high_mul(rounding_divide_by_pot(x4, 2) + x3, 715827883) + x2, 1)
    result = 1895147668 + high_mul(x + tail, 1895147668)
    rest = remainder_quarter - a
    for k, factor in enumerate(_EXP_OF_MINUS_POWERS[: integer_bits + 2]):
        bit = 1 << (31 - integer_bits - 2 + k)
        result = np.where(rest & bit, high_mul(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def one_over_one_plus(a: IntArray) -> IntArray:
    """``1 / (1 + a)`` of Q0.31 values in [0, 1), as Q0.31."""
    return _saturating_shift(_newton(a), 1)


def one_minus_over_one_plus(a: IntArray) -> IntArray:
    """``(1 - a) / (1 + a)`` of Q0.31 values in [0, 1), as Q0.31."""
    return _saturating_shift(_newton(a) - (1 << 29), 2)


def logistic(a: IntArray, integer_bits: int) -> IntArray:
    """``1 / (1 + exp(-a))`` as Q0.31."""
    positive = one_over_one_plus(exp_on_negative_values(-np.abs(a), integer_bits))
    return np.where(a == 0, 1 << 30, np.where(a > 0, positive, INT32_MAX - positive))


def tanh(a: IntArray, integer_bits: int) -> IntArray:
    """The hyperbolic tangent as Q0.31; 2a has one more integer bit than `a`."""
    magnitude = one_minus_over_one_plus(exp_on_negative_values(-np.abs(a), integer_bits + 1))
    return np.where(a == 0, 0, np.where(a > 0, magnitude, -magnitude))


def _newton(a: IntArray) -> IntArray:
    """``2 / (1 + a)`` as Q2.29: three steps from 48/17 - 32/17 * (1 + a) / 2."""
    half_denominator = (a + INT32_MAX + 1) // 2
    estimate = 1515870810 + high_mul(half_denominator, -1010580540)
    for _ in range(3):
        error = (1 << 29) - high_mul(half_denominator, estimate)
        estimate = estimate + _saturating_shift(high_mul(estimate, error), 2)
    return estimate


def _saturating_shift(values: IntArray, bits: int) -> IntArray:
    return np.clip(values << bits, INT32_MIN, INT32_MAX)
