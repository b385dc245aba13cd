"""The fixed-point arithmetic against its definition in Python's unbounded integers and fractions, ties included."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.fixedpoint import (
    INT32_MAX,
    INT32_MIN,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    wrap_int32,
)

ENDS = (INT32_MIN, INT32_MIN + 1, -(1 << 30), -3, -2, -1, 0, 1, 2, 3, 1 << 30, INT32_MAX - 1, INT32_MAX)
int32s = st.one_of(st.sampled_from(ENDS), st.integers(INT32_MIN, INT32_MAX))
mantissas = st.one_of(st.just(0), st.sampled_from((1 << 30, INT32_MAX)), st.integers(1 << 30, INT32_MAX))


def plain_high_mul(a: int, b: int) -> int:
    """gemmlowp's words: double the product, add a nudge that follows its sign, truncate to the high 32 bits."""
    if a == b == INT32_MIN:
        return INT32_MAX
    product = a * b
    nudged = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
    return abs(nudged) // (1 << 31) * (1 if nudged >= 0 else -1)


def plain_divide(x: int, exponent: int) -> int:
    """x / 2^exponent to nearest, halves away from zero, by exact fractions."""
    exact = abs(Fraction(x, 1 << exponent))
    rounded = int(exact + Fraction(1, 2))
    return rounded if x >= 0 else -rounded


def plain_wrap(x: int) -> int:
    return (x - INT32_MIN) % (1 << 32) + INT32_MIN


def plain_multiply(x: int, mantissa: int, shift: int) -> int:
    return plain_divide(plain_high_mul(plain_wrap(x << max(shift, 0)), mantissa), max(-shift, 0))


@given(st.lists(st.tuples(int32s, int32s), min_size=1, max_size=50))
def test_high_mul_equals_its_definition(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, np.int64).T
    assert saturating_rounding_doubling_high_mul(a, b).tolist() == [plain_high_mul(*pair) for pair in pairs]


@pytest.mark.parametrize("a", ENDS)
@pytest.mark.parametrize("b", ENDS)
def test_high_mul_at_the_ends(a: int, b: int) -> None:
    assert saturating_rounding_doubling_high_mul(np.array([a], np.int64), b).tolist() == [plain_high_mul(a, b)]


def test_high_mul_saturates_once_and_rounds_halves_up() -> None:
    assert saturating_rounding_doubling_high_mul(np.array([INT32_MIN]), INT32_MIN).tolist() == [INT32_MAX]
    halves = np.array([-3, -1, 1, 3])  # times 2^30, doubled, over 2^32: -1.5, -0.5, 0.5, 1.5
    assert saturating_rounding_doubling_high_mul(halves, 1 << 30).tolist() == [-1, 0, 1, 2]


@given(st.lists(st.tuples(int32s, st.integers(0, 31)), min_size=1, max_size=50))
def test_division_rounds_halves_away_from_zero(pairs: list[tuple[int, int]]) -> None:
    x, exponent = np.array(pairs, np.int64).T
    assert rounding_divide_by_pot(x, exponent).tolist() == [plain_divide(*pair) for pair in pairs]


@pytest.mark.parametrize("exponent", range(1, 31))
def test_every_tie_of_division_goes_away_from_zero(exponent: int) -> None:
    half = 1 << (exponent - 1)
    ties = np.array([-3 * half, -half, half, 3 * half])
    assert rounding_divide_by_pot(ties, exponent).tolist() == [-2, -1, 1, 2]
    beside = np.array([-half + 1, half - 1])
    assert rounding_divide_by_pot(beside, exponent).tolist() == [0, 0]


@given(st.lists(st.tuples(int32s, mantissas, st.integers(-31, 30)), min_size=1, max_size=50))
def test_multiply_is_the_two_roundings_in_order(rows: list[tuple[int, int, int]]) -> None:
    x, mantissa, shift = np.array(rows, np.int64).T
    expected = [plain_multiply(*row) for row in rows]
    assert multiply_by_quantized_multiplier(x, mantissa, shift).tolist() == expected


def test_two_roundings_are_not_one() -> None:
    """1.25 times 0.375 or so: rounded once it is down, rounded twice it is up."""
    x, mantissa, shift = 5, 3 << 29, -2
    assert plain_multiply(x, mantissa, shift) == 1
    assert multiply_by_quantized_multiplier(np.array([x]), mantissa, shift).tolist() == [1]
    once = Fraction(x * mantissa, 1 << 31) / 4
    assert once == Fraction(15, 16)
    x = 1  # 0.75 -> 1 -> 1/4 -> 0, and with shift -1: 0.75 -> 1 -> 1/2 -> 1 though 0.375 rounds to 0
    assert multiply_by_quantized_multiplier(np.array([x]), mantissa, -1).tolist() == [1]


@given(st.lists(st.integers(-(1 << 40), 1 << 40), min_size=1, max_size=50))
def test_wrap_is_modulo_two_to_the_32(values: list[int]) -> None:
    assert wrap_int32(np.array(values, np.int64)).tolist() == [plain_wrap(value) for value in values]


@given(st.floats(min_value=0.0, max_value=2.0**30, exclude_min=True, allow_subnormal=True))
def test_a_multiplier_is_the_nearest_31_bit_fraction(real: float) -> None:
    found = quantize_multiplier(real)
    exact = Fraction(real)
    if found.mantissa == 0:
        assert found.shift == 0
        assert exact < Fraction(1, 1 << 32)
        return
    assert 1 << 30 <= found.mantissa <= INT32_MAX
    assert -31 <= found.shift <= 31
    unit = Fraction(1, 1 << 31) * Fraction(2) ** found.shift
    error = found.mantissa * unit - exact
    assert abs(error) <= unit / 2
    if abs(error) == unit / 2 and found.mantissa != 1 << 30:
        assert error > 0  # halves away from zero


def test_multipliers_at_the_ends_of_their_range() -> None:
    assert quantize_multiplier(0.0) == quantize_multiplier(2.0**-40)
    assert quantize_multiplier(0.0).mantissa == 0
    assert (quantize_multiplier(0.5).mantissa, quantize_multiplier(0.5).shift) == (1 << 30, 0)
    assert (quantize_multiplier(1.0).mantissa, quantize_multiplier(1.0).shift) == (1 << 30, 1)
    almost_one = quantize_multiplier(1 - 2.0**-40)  # rounds up to 2^31, which is 2^30 with one more shift
    assert (almost_one.mantissa, almost_one.shift) == (1 << 30, 1)
    assert quantize_multiplier(2.0**-32).shift == -31
    assert quantize_multiplier(2.0**-33).mantissa == 0
