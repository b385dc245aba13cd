"""The vector forms of requantization, as the instructions are defined, against TFLM's for any accumulator."""

from __future__ import annotations

import numpy as np
import pytest

from tinydeploy.fixedpoint import IntArray, saturating_rounding_doubling_high_mul, wrap_int32
from tinydeploy.kernels.mve import VectorRequant, vector_requant
from tinydeploy.ops.base import Requant

INT16 = (-(1 << 15), (1 << 15) - 1)
INT8 = (-128, 127)


def in_vectors(made: VectorRequant, sums: IntArray) -> IntArray:
    """VADD, VQRDMULH, (VSHR, VADD,) VRSHL, VQMOVN, VQADD, VQMOVN, VMAX, VMIN on every sum with every channel."""
    bias, mantissa, shift = made.table.T
    high = saturating_rounding_doubling_high_mul(wrap_int32(sums[:, None] + bias), mantissa)
    if made.away:
        high = wrap_int32(high + (high >> 31))
    scaled = np.where(shift < 0, (high + (1 << np.maximum(-shift - 1, 0))) >> -shift, high)
    narrow = wrap_int32(scaled << 16) >> 16 if made.fits else np.clip(scaled, *INT16)
    return np.clip(np.clip(np.clip(narrow + made.zero_point, *INT16), *INT8), made.low, made.high)


def some_sums() -> IntArray:
    """Small ones, those around every power of two, and random ones; all int32."""
    powers = np.array([sign << bit for bit in range(32) for sign in (1, -1)])
    near = np.add.outer(powers, np.arange(-3, 4)).reshape(-1)
    found = np.concatenate([np.arange(-2000, 2001), near, np.random.default_rng(0).integers(-(1 << 31), 1 << 31, 5000)])
    return np.unique(np.clip(found, -(1 << 31), (1 << 31) - 1))


@pytest.mark.parametrize(("zero_point", "low"), [(-128, -128), (5, 5), (5, -128), (-100, -128), (127, 20)])
def test_vector_requantization_is_tflms_for_every_accumulator(zero_point: int, low: int) -> None:
    away = low < zero_point
    shifts = np.repeat(np.arange(-31, 0 if away else 1), 3)
    mantissas = np.resize([1 << 30, (1 << 31) - 1, 0x55555555], len(shifts)).astype(np.int64)
    requant = Requant(mantissas, shifts.astype(np.int64), zero_point, low, 127)
    made = vector_requant(requant, np.full((len(shifts), 4), 127), np.full(len(shifts), (1 << 31) - 1))
    assert made is not None
    assert made.away == away
    assert not made.fits
    sums = some_sums()
    wanted = requant.apply(wrap_int32(sums[:, None] + made.table[:, 0]))
    np.testing.assert_array_equal(in_vectors(made, sums), wanted)


def test_sums_that_fit_a_halfword_are_narrowed_without_saturation() -> None:
    weights, bias = np.array([[100, -27], [3, 90]]), np.array([1000, -77])
    requant = Requant(np.array([1 << 30, 0x60000000]), np.array([-1, -2]), -3, -128, 127)
    made = vector_requant(requant, weights, bias)
    assert made is not None
    assert made.fits
    values = np.random.default_rng(1).integers(-128, 128, (500, 2))
    sums = (values @ weights.T)[:, :, None]
    got = np.stack([in_vectors(made, sums[:, channel, 0])[:, channel] for channel in range(2)], axis=1)
    np.testing.assert_array_equal(got, requant.apply(sums[:, :, 0] + bias))


@pytest.mark.parametrize(("shift", "low"), [(1, -128), (1, 0), (0, -128)])
def test_left_shifts_and_halves_without_a_shift_have_no_vector_form(shift: int, low: int) -> None:
    requant = Requant(np.array([1 << 30]), np.array([shift]), 0, low, 127)
    assert vector_requant(requant, np.array([[1]]), np.array([0])) is None
    nothing = Requant(np.array([0]), np.array([0]), 0, low, 127)
    assert vector_requant(nothing, np.array([[1]]), np.array([0])) is not None
