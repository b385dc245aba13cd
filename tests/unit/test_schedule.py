"""The row schedule of the depthwise kernel: every output takes every tap once, in order, from the right column."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.kernels.schedule import Column, RowSchedule, row_schedule


def columns_of(schedule: RowSchedule) -> Iterator[Column]:
    yield from schedule.before
    for _ in range(schedule.repeats):
        yield from schedule.body
    yield from schedule.after


def assert_computes_the_row(in_w: int, out_w: int, kernel_w: int, stride_w: int, pad_w: int) -> RowSchedule:
    """Run the schedule as the kernel does: `first` opens an accumulator, `last` stores it as the next output."""
    schedule = row_schedule(in_w, out_w, kernel_w, stride_w, pad_w)
    open_: dict[int, list[tuple[int, int]]] = {}  # accumulator -> (tap, column) so far
    finished: list[list[tuple[int, int]]] = []
    for at, column in enumerate(columns_of(schedule)):
        assert column.inside == (0 <= at - pad_w < in_w)
        assert sum(use.last for use in column.uses) <= 1
        for use in column.uses:
            assert 0 <= use.acc < schedule.accumulators
            if use.first:
                assert use.acc not in open_, "an accumulator is opened while another output is in it"
                open_[use.acc] = []
            open_[use.acc].append((use.tap, at))
            if use.last:
                finished.append(open_.pop(use.acc))
    assert not open_
    assert finished == [[(tap, out * stride_w + tap) for tap in range(kernel_w)] for out in range(out_w)]
    return schedule


@pytest.mark.parametrize("kernel_w", range(1, 8))
def test_all_small_rows(kernel_w: int) -> None:
    for out_w, stride_w, pad_w in itertools.product(range(1, 20), range(1, kernel_w + 1), range(kernel_w)):
        most = (out_w - 1) * stride_w + kernel_w - pad_w  # the last column that a window reads, and some beyond
        for in_w in {max(1, most - kernel_w + 1), max(1, most - 1), most, most + 2}:
            assert_computes_the_row(in_w, out_w, kernel_w, stride_w, pad_w)


@given(st.data())
def test_wide_rows(data: st.DataObject) -> None:
    kernel_w = data.draw(st.integers(1, 12))
    stride_w = data.draw(st.integers(1, kernel_w))
    pad_w = data.draw(st.integers(0, kernel_w - 1))
    out_w = data.draw(st.integers(1, 300))
    in_w = data.draw(st.integers(1, out_w * stride_w + kernel_w))
    assert_computes_the_row(in_w, out_w, kernel_w, stride_w, pad_w)


@pytest.mark.parametrize(("kernel_w", "stride_w"), [(3, 1), (3, 2), (3, 3), (5, 1), (5, 2), (7, 4), (1, 1)])
def test_code_does_not_grow_with_the_width(kernel_w: int, stride_w: int) -> None:
    """A row twice as wide takes the same columns of code and a longer loop."""

    def lines(out_w: int) -> int:
        pad_w = kernel_w // 2
        schedule = assert_computes_the_row(out_w * stride_w, out_w, kernel_w, stride_w, pad_w)
        return len(schedule.before) + len(schedule.body) + len(schedule.after)

    accumulators = -(-kernel_w // stride_w)
    for out_w in (4 * accumulators + 4, 48, 96):
        assert lines(2 * out_w) <= lines(out_w) + accumulators * stride_w
        assert lines(out_w) < 4 * kernel_w + 3 * accumulators * stride_w
