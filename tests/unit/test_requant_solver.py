"""The requantization solver: what it solves equals TFLM's function on every accumulator, and knows what it cannot.

Both functions are monotone staircases. They are equal on a whole range when they are equal at its ends and on both
sides of every step, so that is where they are compared, and over whole ranges where those are small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tinydeploy.fixedpoint import INT32_MAX, INT32_MIN
from tinydeploy.ops.base import Requant
from tinydeploy.requant_solver import FastRequant, accumulator_range, solve

MANTISSA_LOW, MANTISSA_HIGH = 1 << 30, INT32_MAX


@dataclass(frozen=True)
class Channel:
    """One channel whose accumulators lie from `least` to `most`, and TFLM's function of it in plain integers."""

    mantissa: int
    shift: int
    least: int
    most: int

    def exact(self, x: int, requant: Requant) -> int:
        product = (x << max(self.shift, 0)) * self.mantissa
        high = (product + (1 << 30)) >> 31
        right = max(-self.shift, 0)
        half = (1 << right) >> 1
        rounded = (abs(high) + half) >> right
        scaled = rounded if high >= 0 else -rounded
        return max(requant.act_min, min(requant.act_max, scaled + requant.zero_point))

    def probes(self, requant: Requant) -> list[int]:
        """The ends of the range and both sides of every step of the exact function."""
        found = {self.least, self.most}

        def search(low: int, high: int) -> None:
            if high - low < 2:
                found.update((low, high))
            elif self.exact(low, requant) != self.exact(high, requant):
                middle = (low + high) >> 1
                search(low, middle)
                search(middle, high)

        search(self.least, self.most)
        return sorted(found)


def wrap(x: int) -> int:
    """What a 32-bit register keeps of x."""
    return (x - INT32_MIN) % (1 << 32) + INT32_MIN


def fast(solved: FastRequant, channel: int, x: int, requant: Requant) -> int:
    """What the kernel does in 32-bit registers: LSL, ADD, SMMLA, SSAT with a shift, and the clamp."""
    factor, start = int(solved.factor[channel]), wrap(int(solved.nudge[channel]))
    assert 0 <= factor <= INT32_MAX
    assert INT32_MIN <= solved.offset <= INT32_MAX
    assert 0 <= solved.shift <= 31
    total = wrap(solved.offset + ((wrap((x << solved.scale) + start) * factor) >> 32))
    return max(requant.act_min, min(requant.act_max, max(-128, min(127, total >> solved.shift))))


def layer(channels: list[Channel], zero_point: int, act: tuple[int, int]) -> tuple[Requant, FastRequant | None]:
    requant = Requant(
        np.array([c.mantissa for c in channels], np.int64),
        np.array([c.shift for c in channels], np.int64),
        zero_point,
        *act,
    )
    least, most = (np.array([getattr(c, end) for c in channels], np.int64) for end in ("least", "most"))
    return requant, solve(requant, least, most)


def assert_equal(channels: list[Channel], requant: Requant, solved: FastRequant) -> None:
    for number, channel in enumerate(channels):
        probes = channel.probes(requant)
        expected = [channel.exact(x, requant) for x in probes]
        assert [fast(solved, number, x, requant) for x in probes] == expected
    some = np.array([[c.least, (c.least + c.most) // 2, c.most] for c in channels], np.int64).T
    np.testing.assert_array_equal(solved.apply(some, requant), requant.apply(some))


mantissas = st.one_of(st.sampled_from((MANTISSA_LOW, MANTISSA_HIGH)), st.integers(MANTISSA_LOW, MANTISSA_HIGH))
acts = st.one_of(
    st.sampled_from([(-128, 127), (0, 127), (-128, -128), (127, 127), (5, 6)]),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(lambda pair: (min(pair), max(pair))),
)


@st.composite
def channels(draw: st.DrawFn, shifts: st.SearchStrategy[int], reach: int) -> Channel:
    least, most = sorted((draw(st.integers(-reach, reach)), draw(st.integers(-reach, reach))))
    return Channel(draw(mantissas), draw(shifts), least, most)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(channels(st.integers(-14, 0), 1 << 22), min_size=1, max_size=4),
    st.integers(-128, 127),
    acts,
)
def test_layers_as_networks_have_them(given_: list[Channel], zero_point: int, act: tuple[int, int]) -> None:
    requant, solved = layer(given_, zero_point, act)
    if solved is not None:
        assert_equal(given_, requant, solved)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(channels(st.integers(-31, 30), INT32_MAX), min_size=1, max_size=2),
    st.sampled_from((-128, -1, 0, 127)),
    acts,
)
@example([Channel(MANTISSA_LOW, -31, INT32_MIN, INT32_MAX)], 0, (-128, 127))
@example([Channel(MANTISSA_HIGH, 0, INT32_MIN + 1, INT32_MAX)], -128, (-128, 127))
@example([Channel(MANTISSA_HIGH, 0, 0, 0)], 127, (-128, 127))
@example([Channel(MANTISSA_LOW, -1, -300, 300), Channel(MANTISSA_LOW, -24, -(1 << 30), 1 << 30)], 3, (-128, 127))
def test_extreme_layers_are_solved_exactly_or_not_at_all(
    given_: list[Channel], zero_point: int, act: tuple[int, int]
) -> None:
    requant, solved = layer(given_, zero_point, act)
    if solved is not None:
        assert_equal(given_, requant, solved)


@settings(max_examples=40, deadline=None)
@given(mantissas, st.integers(-10, 3), st.integers(-128, 127), acts, st.integers(-3000, 3000), st.integers(1, 6000))
def test_every_single_accumulator_of_small_ranges(
    mantissa: int, shift: int, zero_point: int, act: tuple[int, int], least: int, count: int
) -> None:
    channel = Channel(mantissa, shift, least, least + count)
    requant, solved = layer([channel], zero_point, act)
    assume(solved is not None)
    assert solved is not None
    x = np.arange(channel.least, channel.most + 1, dtype=np.int64)[:, None]
    np.testing.assert_array_equal(solved.apply(x, requant), requant.apply(x))


def relu_channel(rng: np.random.Generator) -> Channel:
    """A factor as trained networks have it, about 2^-12 to 2^-6, and sums that spread over int8 and beyond."""
    mantissa, shift = int(rng.integers(MANTISSA_LOW, MANTISSA_HIGH)), int(rng.integers(-11, -4))
    reach = int(128 * rng.uniform(1, 4) * 2.0 ** (31 - shift) / mantissa)
    bias = int(rng.integers(-reach, reach + 1))
    return Channel(mantissa, shift, bias - reach, bias + reach)


def test_most_channels_under_a_relu_are_solved() -> None:
    """Below a ReLU's zero nothing counts, so TFLM's halves away from zero all lie on one side."""
    rng = np.random.default_rng(1)
    unsolved = 0
    for _ in range(150):
        channel = relu_channel(rng)
        zero_point = int(rng.integers(-128, 100))
        requant, solved = layer([channel], zero_point, (zero_point, 127))
        if solved is None:
            unsolved += 1
        else:
            assert_equal([channel], requant, solved)
    assert unsolved < 150 // 4


def test_channels_of_a_layer_share_scale_and_shift() -> None:
    """Whatever their factors and ranges; the coarser scale of a wide channel serves a narrow one too."""
    narrow, wide = Channel(MANTISSA_LOW, -5, -4000, 4000), Channel(MANTISSA_HIGH, -16, -(1 << 24), 1 << 24)
    scales = [solved.scale for one in (narrow, wide) if (solved := layer([one], 0, (0, 127))[1]) is not None]
    assert scales[0] > scales[1]
    requant, solved = layer([narrow, wide], 0, (0, 127))
    assert solved is not None
    assert solved.scale == scales[1]
    assert_equal([narrow, wide], requant, solved)


@pytest.mark.parametrize(
    ("channel", "act", "why"),
    [
        (Channel(MANTISSA_LOW, 5, -(1 << 27), 1 << 27), (-128, 127), "the left shift wraps: no staircase"),
        (Channel(MANTISSA_HIGH, 9, -100, 100), (-128, 127), "a factor of 512 does not fit 32 bits"),
        (Channel(MANTISSA_LOW, 0, INT32_MIN, INT32_MAX), (-128, 127), "the lowest accumulator has no positive twin"),
        (Channel(MANTISSA_LOW, -8, -90_000, 90_000), (-128, 127), "halves away from zero on both sides of zero"),
    ],
)
def test_what_cannot_be_solved_is_said(channel: Channel, act: tuple[int, int], why: str) -> None:
    assert layer([channel], 0, act)[1] is None, why


def test_the_same_halves_on_one_side_of_zero_are_solved() -> None:
    channel = Channel(MANTISSA_LOW, -8, -90_000, 90_000)
    requant, solved = layer([channel], 0, (0, 127))
    assert solved is not None
    assert_equal([channel], requant, solved)


@pytest.mark.parametrize("reach", [2**10, 2**14, 2**18, 2**20, 2**22, 2**24, 2**26, 2**28, 2**30])
@pytest.mark.parametrize("shift", [-20, -12, -8, -5, -2, 0, 3])
def test_sums_far_beyond_the_clamp_do_not_wrap(shift: int, reach: int) -> None:
    """Accumulators may be a thousand times what saturates: the last sum must not leave its register."""
    for least, most in ((-reach, reach), (0, reach), (-reach, 0)):
        channel = Channel(MANTISSA_LOW + 12_345_679, shift, least, most)
        requant, solved = layer([channel], -128, (-128, 127))
        if solved is not None:
            assert_equal([channel], requant, solved)


def test_one_channel_without_a_solution_leaves_the_layer_without() -> None:
    good, bad = Channel(MANTISSA_LOW, -8, -9000, 9000), Channel(MANTISSA_LOW, 5, -(1 << 27), 1 << 27)
    assert layer([good], 0, (0, 127))[1] is not None
    assert layer([good, bad], 0, (0, 127))[1] is None


def test_constant_channels_share_the_offset_too() -> None:
    given_ = [Channel(MANTISSA_LOW, -20, 5, 90), Channel(0, 0, -(1 << 30), 1 << 30), Channel(MANTISSA_LOW, 9, -900, -5)]
    requant, solved = layer(given_, 7, (-128, 127))
    assert solved is not None
    assert_equal(given_, requant, solved)
    assert solved.apply(np.array([[5, 0, -900], [90, 1 << 30, -5]]), requant).tolist() == [[7, 7, -128]] * 2


def test_channels_of_one_multiplier_share_a_factor() -> None:
    """Whatever their biases; with the same numbers under two multipliers each has its own."""
    ranges = [(-90_000, 10_000), (-3000, 70_000), (40_000, 41_000), (-5000, -4000)]
    same = [Channel(MANTISSA_LOW + 987_654_321, -8, *each) for each in ranges]
    requant, solved = layer(same, -128, (-128, 127))
    assert solved is not None
    assert len(set(solved.factor.tolist())) == 1
    assert_equal(same, requant, solved)
    other = [*same, Channel(MANTISSA_LOW + 123_456_789, -8, *ranges[0])]
    requant, solved = layer(other, -128, (-128, 127))
    assert solved is not None
    assert len(set(solved.factor.tolist())) == 2
    assert_equal(other, requant, solved)


def test_a_large_bias_does_not_cost_the_layer_its_scale() -> None:
    """A channel that moves by one step, far from zero: its accumulators are moved, the others keep theirs."""
    given_ = [Channel(MANTISSA_LOW, -22, 7 << 25, (7 << 25) + (1 << 17)), Channel(MANTISSA_LOW, -4, 0, 1 << 17)]
    requant, solved = layer(given_, -128, (-128, 127))
    assert solved is not None
    assert solved.scale == 8
    assert_equal(given_, requant, solved)


@settings(deadline=None)
@given(st.data())
def test_the_range_holds_every_accumulator_and_is_reached(data: st.DataObject) -> None:
    taps = data.draw(st.integers(1, 4))
    weights = np.array(data.draw(st.lists(st.integers(-128, 127), min_size=taps, max_size=taps)), np.int64)[None]
    bias = np.array([data.draw(st.integers(-(1 << 20), 1 << 20))], np.int64)
    low, high = sorted((data.draw(st.integers(-255, 255)), data.draw(st.integers(-255, 255))))
    least, most = accumulator_range(weights, bias, low, high)
    corners = np.stack(np.meshgrid(*[[low, high]] * taps), axis=-1).reshape(-1, taps)
    sums = corners @ weights[0] + bias[0]
    assert (sums.min(), sums.max()) == (least[0], most[0])
