"""Requantization in 32 bits: what is solved equals TFLM's function on every accumulator, the rest falls back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.kernels.requantize32 import WindowRequant, window_requant
from tinydeploy.ops.base import Requant


def requant_of(mantissas: list[int], shifts: list[int], zero_point: int, low: int, high: int) -> Requant:
    return Requant(np.array(mantissas, np.int64), np.array(shifts, np.int64), zero_point, low, high)


def in_32_bits(solved: WindowRequant, channel: int, sums: IntArray) -> NDArray[np.int64]:
    """What the C does with sums of products, in registers of 32 bits that are watched for overflow."""
    fields = solved.constant.values[channel].tolist()
    bias, offset, high, packed = fields[:4]
    low_bits, unit_bits = int(str(solved.shape["low_bits"])), int(str(solved.shape["unit_bits"]))
    low, span = (packed & 0xFFFFFFFF) >> 16, (packed & 0xFFFF) << unit_bits
    y = np.clip(sums + bias, 0, span)
    assert span * low < 1 << 32
    total = offset + y * (high & 0xFFFFFFFF) + (y * low >> low_bits)
    if solved.shape["requant"] == "bent":
        zero, tie = fields[4:]
        total += np.where(y >= zero, tie, 0)
    assert total.min() >= -(1 << 31)
    assert total.max() < 1 << 31
    return total >> 24


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    mantissa=st.integers(1 << 30, (1 << 31) - 1),
    shift=st.integers(-14, 2),
    weights=st.lists(st.integers(-127, 127), min_size=1, max_size=40),
    bias=st.integers(-(1 << 20), 1 << 20),
    zero_point=st.integers(-128, 127),
    relu=st.booleans(),
)
@example(1 << 30, -3, [127], 0, 0, False)  # every eighth accumulator is a tie
@example(1 << 30, 0, [1], 0, -128, True)
@example((1 << 31) - 1, -14, [-128] * 40, 0, -128, True)
def test_every_accumulator_of_a_channel(
    mantissa: int, shift: int, weights: list[int], bias: int, zero_point: int, relu: bool
) -> None:
    low = zero_point if relu else -128
    requant = requant_of([mantissa], [shift], zero_point, low, 127)
    matrix = np.array([weights], np.int64)
    solved = window_requant(requant, matrix, np.array([bias], np.int64))
    if solved.shape["requant"] == "general":
        assert solved.constant.values.tolist() == [[bias, mantissa, shift]]
        return
    least, most = np.minimum(127 * matrix, -128 * matrix).sum(), np.maximum(127 * matrix, -128 * matrix).sum()
    sums = np.arange(least, most + 1)
    np.testing.assert_array_equal(in_32_bits(solved, 0, sums), requant.apply((sums + bias)[:, None])[:, 0])


def form(mantissa: int, shift: int, zero_point: int, low: int, weights: int = 20, bias: int = 0) -> object:
    requant = requant_of([mantissa, mantissa], [shift, shift], zero_point, low, 127)
    return window_requant(requant, np.full((2, weights), 90, np.int64), np.array([bias, -bias])).shape["requant"]


@pytest.mark.parametrize(
    ("wanted", "arguments"),
    [
        ("window", (1518500250, -8, -128, -128)),  # ReLU: ties clamp
        ("bent", (1518500250, -8, 3, -128)),  # ties on both sides of zero
        ("window", (1518500250, -31, 3, -128)),  # a constant
        ("general", (1518500250, 9, -128, -128)),  # the left shift wraps
        ("general", (0, 0, -128, -128, 20, 1 << 31)),  # accumulators beyond 32 bits
    ],
)
def test_the_cheapest_form_that_holds_is_taken(wanted: str, arguments: tuple[int, ...]) -> None:
    assert form(*arguments) == wanted


def test_layers_share_code_where_their_windows_allow() -> None:
    shapes = []
    for shift in (-6, -7, -8, -9):
        requant = requant_of([1518500250], [shift], -128, -128, 127)
        solved = window_requant(requant, np.full((1, 30), 80, np.int64), np.array([-5000]))
        shapes.append((solved.shape["low_bits"], solved.shape["unit_bits"]))
    assert len(set(shapes)) == 1
