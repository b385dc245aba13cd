"""The matrix kernels' plans: how rows are cut, where taps find their columns, and what loops of instructions cover."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from tinydeploy.kernels.matrix_form import Taps, cut_row, pack_pairs, patch_order, shared_taps, window_order
from tinydeploy.kernels.matrix_gather import GatherForm, gather_lines
from tinydeploy.kernels.matrix_schedule import BlockForm, block_schedule


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_blocks_cover_a_row(most: int) -> None:
    for width in range(1, 50):
        cut = cut_row(width, most)
        assert sum(cut.blocks) == width
        assert set(cut.blocks) == set(cut.sizes)
        assert max(cut.blocks) <= most


def test_no_pixel_is_left_alone_beside_larger_blocks() -> None:
    assert all(1 not in cut_row(width, most).sizes for width in range(2, 50) for most in (3, 4))


@pytest.mark.parametrize(("kernel", "stride", "pixels"), list(itertools.product(range(1, 8), range(1, 4), (1, 2, 3))))
def test_a_tap_finds_its_column_for_every_pixel(kernel: int, stride: int, pixels: int) -> None:
    taps = Taps(kernel, stride)
    columns = taps.columns(pixels)
    assert sorted(taps.order) == list(range(kernel))
    for tap, slot in zip(taps.order, taps.slots(pixels), strict=True):
        assert [columns[slot + i] for i in range(pixels)] == [tap + i * stride for i in range(pixels)]


def test_orders_hold_every_weight_once() -> None:
    taps = shared_taps(3, 1, 8)
    assert taps is not None
    assert sorted(window_order(3, 3, 8, taps)) == list(range(72))
    assert sorted(patch_order(3, 9)) == list(range(27))


def test_pairs_that_do_not_fit_a_halfword_are_refused() -> None:
    matrix = np.array([[-128, 0], [-128, 0]])
    assert pack_pairs(matrix) is None
    matrix[1, 0] = -127
    assert pack_pairs(matrix) is None  # 256 * -128 - 127 leaves a halfword, too
    matrix[1, 0] = 0
    assert pack_pairs(matrix) is not None


FORMS = [
    *(BlockForm(3, 1, units, 3, (0,), False, False, 32, 21) for units in (1, 2, 5, 32, 33, 64, 127, 320)),
    *(BlockForm(3, 1, units, 5, (0, 1, 2), False, False, 10, 7) for units in (6, 24, 96)),
    *(BlockForm(3, 1, units, 7, (0, 1, 4), False, True, 10, 7) for units in (6, 24, 96)),
    *(BlockForm(2, 2, units, 2, (0,), False, False, 32, 21) for units in (17, 64)),
    *(BlockForm(1, 2, units, 1, (0,), False, False, 32, 21) for units in (3, 320)),
    *(BlockForm(pixels, 1, units, pixels, (0,), True, False, 32, 21) for pixels in (2, 3) for units in (4, 16)),
    *(BlockForm(2, 2, units, 2, (0,), False, False, 32, 21, 16, 8) for units in (16, 17, 18, 32, 64, 128)),
    *(BlockForm(4, 1, units, 4, (0,), True, False, 32, 21, units) for units in (1, 5, 8)),
    *(BlockForm(2, 2, units, 2, (0,), True, False, 32, 21, units) for units in (9, 16)),
    BlockForm(1, 2, 16, 1, (0,), True, False, 32, 21),
    BlockForm(3, 1, 8, 7, (0, 1, 2, 3, 4), False, False, 10, 7),
    BlockForm(2, 1, 50, 4, (0, 1, 2), False, False, 3, 3),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_block_reads_its_patch_and_its_weights_once(form: BlockForm) -> None:
    plan = block_schedule(form)

    def words(lines: tuple[str, ...], base: str) -> int:
        loads = [line for line in lines if f"[{base}" in line or f" {base}!" in line]
        return sum(len(re.findall(r"\b(?:r\d+|lr)\b", line)) - 1 for line in loads)

    starts = 0 if form.late_bias else form.pairs * (2 if form.wide else 1)
    taps = form.units * len(form.slots)
    held = [int(number) for line in plan.head for number in re.findall(r"\bs(\d+)", line)]
    assert held == list(range(form.held * form.columns))
    in_memory = (form.units - form.held) * form.columns
    for base, expected in (("r0", in_memory), ("r2", taps * form.weights + starts)):
        assert words(plan.head, base) + plan.turns * words(plan.turn, base) == expected
    products = [line for line in plan.head if line.startswith("sml") or line.startswith("smu")]
    again = [line for line in plan.turn if line.startswith("smlad")]
    assert len(products) + plan.turns * len(again) == 2 * taps * form.pixels * form.pairs
    # Nothing that must last is written by the products, and LDM's registers ascend.
    kept = {plan.patch_end, plan.out if plan.output_stays else None} - {None}
    for line in (*plan.head, *plan.turn):
        assert not kept & set(re.findall(r"\w+", line)), line
        if line.startswith("ldm"):
            numbers = [14 if r == "lr" else int(r[1:]) for r in re.findall(r"r\d+|lr", line.split("{")[1])]
            assert numbers == sorted(set(numbers)), line


@pytest.mark.parametrize(
    "form",
    [
        GatherForm((0, 64, 128), 64, 1, 4),
        GatherForm((0, 8), 8, 1, 4),
        GatherForm((0, 6, 12), 9, 3, 4),
        GatherForm((0, 2, 4), 4, 10, 4),
        GatherForm((0, 16, 32, 48, 64), 16, 3, 4),
        GatherForm((0, 128, 256, 384, 64, 192, 320), 64, 3, 4),
        GatherForm((0, 7, 14), 7, 1, 4),
        GatherForm((0,), 40, 1, 4),
        GatherForm((0, 64), 36, 1, 4),
        GatherForm((0, 8, 16, 24), 8, 1, 4, held=True),
        GatherForm((0, 6), 9, 3, 4, held=True),
        GatherForm((0, 3, 6, 9), 3, 3, 4, held=True),
    ],
)
def test_a_gather_writes_every_word_once(form: GatherForm) -> None:
    lines = gather_lines(form)
    assert lines is not None
    text = "\n".join(lines)
    # Loops are unrolled here as the core would run them.
    begin = r"mov r3, #(\d+)\n\.p2align 3\n(\d):\n(?:str r3, \[sp\]\n)?"
    end = r"\n(?:ldr r3, \[sp\]\n)?subs r3, #1\nbne \2b"
    while found := re.search(begin + r"((?:(?!\n\d:)[\s\S])*?)" + end, text):
        text = text[: found.start()] + "\n".join([found[3]] * int(found[1])) + text[found.end() :]
    stored = 0
    for line in text.splitlines():
        if line.startswith("stm"):
            stored += len(re.findall(r"r\d+|lr", line.split("{")[1]))
        elif line.startswith("str") and "[r1]" in line:
            stored += 1
    words = form.words * len(form.columns)
    held = [int(number) for number in re.findall(r"\bs(\d+)", text)]
    assert stored == (0 if form.held else words)
    assert sorted(held) == list(range(words if form.held else 0))


def test_a_gather_out_of_reach_stays_in_c() -> None:
    assert gather_lines(GatherForm((0, 4096), 8, 1, 4)) is None
