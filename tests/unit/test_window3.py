"""The 3 x 3 depthwise kernel's row code, run instruction by instruction: every output is its window's sum."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from tinydeploy.kernels.window3 import RowCode, RowForm, Step, layer_code, row_code

ZERO_POINT, BIAS = -7, 1000


def steps_of(code: RowCode) -> Iterator[Step]:
    yield from code.before
    for _ in range(code.repeats):
        yield from code.body
    yield from code.after


def halves(low: int, high: int) -> int:
    return (low & 0xFFFF) | (high & 0xFFFF) << 16


def signed(half: int) -> int:
    return (half & 0xFFFF ^ 0x8000) - 0x8000


class Machine:
    """The registers, with what the kernel's prologue puts there."""

    def __init__(self, form: RowForm, image: np.ndarray, weights: np.ndarray) -> None:
        self.form, self.image = form, image
        w = weights if form.rows == 3 else np.vstack([weights[:2], np.zeros((1, 3), int)])
        self.registers = {3 + k: halves(int(w[0, k]), int(w[1, k])) for k in range(3)}
        self.weights = {**self.registers, 6: halves(int(w[2, 0]), int(w[2, 1])), 7: halves(int(w[2, 1]), int(w[2, 2]))}
        self.biases = {
            "inside": BIAS,
            "left": BIAS + ZERO_POINT * int(w[:, 0].sum()),
            "right": BIAS + ZERO_POINT * int(w[:, 2].sum()),
        }
        self.values: dict[int, int] = {}
        self.stored: dict[int, int] = {}
        self.input = self.output = 0

    def run(self, code: RowCode) -> dict[int, int]:
        for step in steps_of(code):
            getattr(self, f"do_{step.kind}")(step)
        assert (self.input, self.output) == (code.input_columns, code.output_columns)
        return self.stored

    def do_load(self, step: Step) -> None:
        column = self.input + step.column
        assert 0 <= column < self.form.in_w
        offset = step.column * self.form.in_c + step.row * self.form.row_bytes
        assert step.column == 0 if self.form.wide else offset <= 4095
        self.values[step.target] = int(self.image[step.row, column])

    def do_start(self, step: Step) -> None:
        self.values[step.target] = self.biases[step.edge]

    def do_zero(self, step: Step) -> None:
        self.values[step.target] = halves(ZERO_POINT, ZERO_POINT)

    def do_pair(self, step: Step) -> None:
        self.values[step.target] = halves(self.values[step.a], self.values[step.b])

    def do_mac(self, step: Step) -> None:
        x, w = self.values[step.a], self.weights[step.b]
        assert step.c or not self.form.bias_loads
        total = self.values[step.c] if step.c else BIAS
        lanes = {"b": 0, "t": 16}
        if step.form == "ad":
            total += signed(x) * signed(w) + signed(x >> 16) * signed(w >> 16)
        else:
            total += signed(x >> lanes[step.form[1]]) * signed(w >> lanes[step.form[2]])
        self.values[step.target] = total

    def do_finish(self, step: Step) -> None:
        out = self.output + step.column
        assert out not in self.stored
        assert 0 <= step.column * self.form.out_pitch <= 4095
        self.stored[out] = self.values[step.target]
        self.values[step.a] = 0xBAD  # requantization may use it
        assert step.a != step.target

    def do_input(self, step: Step) -> None:
        self.input += step.column

    def do_output(self, step: Step) -> None:
        self.output += step.column


def padded(form: RowForm, image: np.ndarray) -> np.ndarray:
    """The image with its padding: zero points at the left and as far to the right as windows reach."""
    width = (form.out_w - 1) * form.stride_w + 3
    wide = np.full((3, max(width, form.pad_w + form.in_w)), ZERO_POINT)
    wide[:, form.pad_w : form.pad_w + form.in_w] = image
    return wide


def assert_computes_the_row(form: RowForm, most_blocks: int = 12, seed: int = 0) -> RowCode:
    rng = np.random.default_rng([seed, form.in_w, form.out_w])
    image, weights = rng.integers(-128, 128, (3, form.in_w)), rng.integers(-128, 128, (3, 3))
    weights[form.rows :] = 0
    code = row_code(form, most_blocks)
    windows = np.lib.stride_tricks.sliding_window_view(padded(form, image), 3, axis=1)[:, :: form.stride_w]
    expected = BIAS + np.einsum("rok,rk->o", windows[:, : form.out_w], weights)
    assert Machine(form, image, weights).run(code) == dict(enumerate(expected.tolist()))
    return code


def outputs(in_w: int, stride_w: int, pad_w: int) -> list[int]:
    """How many outputs rows of this padding may have: the last window misses one column at most."""
    most = (in_w + 1 + pad_w - 3) // stride_w + 1
    return [n for n in (most - 1, most) if n > 0 and (n > 1 or pad_w == 0 or in_w > 1)]


def forms(in_w: int, channels: int = 3) -> Iterator[RowForm]:
    for stride_w, pad_w in itertools.product((1, 2), (0, 1)):
        for out_w in outputs(in_w, stride_w, pad_w):
            for folded, bias_loads, wide in itertools.product((False, True), repeat=3):
                for rows in (3,) if folded else (2, 3):
                    if bias_loads or not wide:
                        row_bytes = in_w * channels
                        yield RowForm(
                            in_w, out_w, stride_w, pad_w, rows, folded, bias_loads, wide, row_bytes, channels, channels
                        )


@pytest.mark.parametrize("in_w", range(2, 20))
def test_every_form_of_small_rows(in_w: int) -> None:
    for form in forms(in_w):
        assert_computes_the_row(form)
        assert_computes_the_row(form, most_blocks=5)


@pytest.mark.parametrize("in_w", [24, 25, 48, 49, 96, 97, 160])
def test_wide_rows_take_loops(in_w: int) -> None:
    for form in forms(in_w):
        code = assert_computes_the_row(form)
        assert len(code.before) + len(code.body) + len(code.after) < 12 * 35


def test_offsets_stay_in_reach() -> None:
    """Pointers move on where a long row of many channels would need an offset beyond 4095 (`Machine` checks each)."""
    for in_w, channels in ((20, 60), (12, 110), (6, 250)):
        for form in forms(in_w, channels):
            assert_computes_the_row(form)


@pytest.mark.parametrize(("stride_w", "instructions"), [(1, 12.5), (2, 17.3)])
def test_instructions_per_output(stride_w: int, instructions: float) -> None:
    """Loads, packings, five products and three instructions to store: what the speed of MobileNets rests on."""
    form = RowForm(24, 24 // stride_w, stride_w, stride_w % 2, 3, True, False, False, 72, 3, 3)
    steps = list(steps_of(row_code(form, 12)))
    count = len(steps) + 2 * sum(step.kind == "finish" for step in steps)
    assert count / form.out_w < instructions


def shape(in_h: int, out_h: int, stride_h: int, pad_h: int, two_rows: bool) -> dict[str, int | bool]:
    columns: dict[str, int | bool] = {"in_w": 6, "out_w": 6, "stride_w": 1, "pad_w": 1, "in_c": 4, "out_c": 4}
    flags = {"two_rows": two_rows, "folded": True, "bias_loads": False, "wide": False}
    return {"in_h": in_h, "out_h": out_h, "stride_h": stride_h, "pad_h": pad_h, **columns, **flags}


@pytest.mark.parametrize("two_rows", [False, True])
@pytest.mark.parametrize("stride_h", [1, 2])
@pytest.mark.parametrize("pad_h", [0, 1])
def test_groups_cover_the_rows_and_stay_inside_the_input(pad_h: int, stride_h: int, two_rows: bool) -> None:
    for in_h in range(3, 30):
        for out_h in outputs(in_h, stride_h, pad_h):
            groups = layer_code(shape(in_h, out_h, stride_h, pad_h, two_rows)).groups
            assert sum(group.rows for group in groups) == out_h
            at = 0
            for group in groups:
                for row in range(group.rows):
                    window = (at + row) * stride_h - pad_h
                    loaded = group.base + row * stride_h
                    assert 0 <= loaded <= in_h - group.rows_read
                    inside = {y for y in range(window, window + 3) if 0 <= y < in_h}
                    assert inside <= set(range(loaded, loaded + group.rows_read))
                at += group.rows
            bodies = [group.rows_read for group in groups if group.body is not None]
            assert len(bodies) == len(set(bodies))
