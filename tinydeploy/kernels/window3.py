"""A row of 3 x 3 depthwise outputs as a list of instructions: loads, pairs and products in five registers.

Of a column, the values of the upper two rows are packed into the halfwords of a register, which SMLAD multiplies by a
column of weights; values of the lowest row are packed two columns to a register, which serve up to four outputs. So an
output takes five multiplications, and its column three loads and one and a half packings. A window that leaves the
input at the left or right takes zero points there, either from a bias that holds them or as a constant column.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tinydeploy.kernels.base import out_pitch

# Registers for sums and values; the kernel's template holds pointers, weights, bias and factor in the others. Two rows
# leave two registers of weights unused.
_POOL = {3: (8, 9, 10, 11, 12), 2: (6, 7, 8, 9, 10, 11, 12)}
# Sums of even and odd outputs stay here between blocks.
_HOMES = (8, 9)
# Blocks of two columns written out: 100 bytes of code each, against 10 cycles for a turn of a loop.
_MOST_BLOCKS = 12
# A load's and a store's immediate offset.
_REACH_BYTES = 4095

Kind = Literal["load", "start", "zero", "pair", "mac", "finish", "input", "output"]


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction (a few for `finish`).

    - load: `target` = input at `row`, `column`; start: `target` = the bias of `edge`; zero: `target` = two zero points
    - pair: `target` = low half of `a` and, in the high half, that of `b`
    - mac: `target` = `a` times weight register `b` by SMLA`form`, plus `c` (0: the bias register)
    - finish: requantize `target` by means of free register `a` and store it at `column`
    - input, output: the pointer moves on by `column` columns
    """

    kind: Kind
    target: int = 0
    a: int = 0
    b: int = 0
    c: int = 0
    row: int = 0
    column: int = 0
    form: str = ""
    edge: str = ""


@dataclass(frozen=True, slots=True)
class RowCode:
    """`before`, then `body` `repeats` times, then `after`; then the pointers have moved by these columns."""

    before: tuple[Step, ...]
    body: tuple[Step, ...]
    repeats: int
    after: tuple[Step, ...]
    input_columns: int
    output_columns: int

    @property
    def turn_columns(self) -> int:
        """By how many columns a turn of the body moves the input's pointer."""
        return sum(step.column for step in self.body if step.kind == "input")


@dataclass(frozen=True, slots=True)
class RowForm:
    """What decides a row's code. `rows` 2 leaves out the lowest row. With `folded`, zero points at the edges are in
    biases of their own, with `bias_loads` every bias is in memory; `wide` rows are addressed through a register."""

    in_w: int
    out_w: int
    stride_w: int
    pad_w: int
    rows: int
    folded: bool
    bias_loads: bool
    wide: bool
    row_bytes: int
    in_c: int
    out_pitch: int


class _Row:
    """Emits a row's steps block by block and keeps account of registers, sums and pointers."""

    def __init__(self, form: RowForm) -> None:
        self.form = form
        self.free = list(_POOL[form.rows])
        self.sums: dict[int, int] = {}
        self.missing: dict[int, set[tuple[str, int]]] = {}
        self.steps: list[Step] = []
        self.at_input = self.at_output = 0

    def first_column(self, out: int) -> int:
        """The first column of an output's window."""
        return out * self.form.stride_w - self.form.pad_w

    def outputs_at(self, column: int) -> list[int]:
        """Outputs whose windows hold `column`, oldest first."""
        earliest = max(0, -(-(column + self.form.pad_w - 2) // self.form.stride_w))
        return [out for out in range(earliest, self.form.out_w) if self.first_column(out) <= column][:3]

    def take(self) -> int:
        """A free register, of the two where sums stay last."""
        return self.free.pop()

    def release(self, register: int) -> None:
        """Give a register back."""
        self.free = sorted([*self.free, register], reverse=True, key=self._preference)

    def _preference(self, register: int) -> tuple[bool, int]:
        return register in _HOMES, register

    def load(self, row: int, column: int) -> int:
        """A value in a register of its own."""
        if self.form.wide and column != self.at_input:
            self.move_input(column)
        target = self.take()
        self.steps.append(Step("load", target, row=row, column=column - self.at_input))
        return target

    def pair(self, low: int, high: int) -> int:
        """Two values in one register."""
        self.steps.append(Step("pair", low, low, high))
        self.release(high)
        return low

    def begin(self, out: int) -> int:
        """The register that holds an output's bias; note what the output waits for."""
        first = self.first_column(out)
        inside = [c for c in range(first, first + 3) if 0 <= c < self.form.in_w or not self.form.folded]
        self.missing[out] = {(part, c) for part in ("upper", "lower")[: self.form.rows - 1] for c in inside}
        edge = "left" if first < 0 else "right" if first + 3 > self.form.in_w else "inside"
        edge = edge if self.form.folded else "inside"
        if edge == "inside" and not self.form.bias_loads:
            return 0
        self.sums[out] = self.take()
        self.steps.append(Step("start", self.sums[out], edge=edge))
        return self.sums[out]

    def mac(self, part: str, columns: Iterable[int], out: int, value: int, weights: int, form: str) -> None:
        """Add a product to an output's sum; its first product begins it, its last one sends it off.

        A sum moves to its home register as soon as that is free, which costs nothing, so that every block of columns
        finds the same registers.
        """
        source = self.sums[out] if out in self.sums else self.begin(out)
        home = _HOMES[out % 2 if self.form.stride_w == 1 else 0]
        if home in self.free:
            self.free.remove(home)
            target = home
        else:
            target = source or self.take()
        if source not in (0, target):
            self.release(source)
        self.sums[out] = target
        self.steps.append(Step("mac", target, value, weights, source, form=form))
        self.missing[out] -= {(part, column) for column in columns}
        if not self.missing[out]:
            self.steps.append(Step("finish", target, self.free[-1], column=out - self.at_output))
            self.release(self.sums.pop(out))

    def upper(self, column: int, value: int) -> None:
        """The products of a column whose upper two values are packed."""
        for out in self.outputs_at(column):
            self.mac("upper", [column], out, value, 3 + column - self.first_column(out), "ad")
        self.release(value)

    def lower(self, columns: Sequence[int], value: int) -> None:
        """The products of the lowest row's `columns`, one or two."""
        for out in sorted({out for column in columns for out in self.outputs_at(column)}):
            tap = columns[0] - self.first_column(out)
            if len(columns) == 1:
                form, weights = (("abb", 6), ("abt", 6), ("abt", 7))[tap]
            else:
                form, weights = (("atb", 6), ("ad", 6), ("ad", 7), ("abt", 7))[tap + 1]
            self.mac("lower", columns, out, value, weights, form)
        self.release(value)

    def outside(self, column: int) -> None:
        """A column of zero points."""
        if self.form.folded or not self.outputs_at(column):
            return
        value = self.take()
        self.steps.append(Step("zero", value))
        self.upper(column, value)
        if self.form.rows == 3:
            self.free.remove(value)
            self.lower([column], value)

    def move_input(self, column: int) -> None:
        """Let the input's pointer stand at `column`."""
        self.steps.append(Step("input", column=column - self.at_input))
        self.at_input = column

    def move_output(self, out: int) -> None:
        """Let the output's pointer stand at output `out`."""
        self.steps.append(Step("output", column=out - self.at_output))
        self.at_output = out

    def block(self, columns: Sequence[int]) -> None:
        """One or two columns inside the input. Loads stand together as far as registers reach: the first of them costs
        two cycles, those behind it one."""
        form = self.form
        far = (columns[-1] - self.at_input) * form.in_c + (form.rows - 1) * form.row_bytes
        if not form.wide and far > _REACH_BYTES:
            self.move_input(columns[0])
        oldest = self.outputs_at(columns[0])[0]
        if (oldest + 3 - self.at_output) * form.out_pitch > _REACH_BYTES:
            self.move_output(oldest)
        # With stride 1 three sums are open at a time: the second column waits until the oldest is stored.
        late = columns[1:] if form.stride_w == 1 and form.rows == 3 else columns[:0]
        for some in (columns[: len(columns) - len(late)], late):
            values = [(self.load(0, column), self.load(1, column)) for column in some]
            for out in self.outputs_at(some[0]) if some else []:
                if out not in self.sums and self.free:
                    self.begin(out)
            for column, value in zip(some, [self.pair(*each) for each in values], strict=True):
                self.upper(column, value)
            if form.rows == 3 and some is not late:
                lowest = [self.load(2, column) for column in columns]
                self.lower(columns, self.pair(*lowest) if len(lowest) == 2 else lowest[0])

    def emit(self, blocks: Iterable[tuple[int, ...]]) -> None:
        """Blocks of columns, inside the input or not."""
        for columns in blocks:
            inside = [column for column in columns if 0 <= column < self.form.in_w]
            for column in columns:
                if column < 0:
                    self.outside(column)
            if inside:
                self.block(inside)
            for column in columns:
                if column >= self.form.in_w:
                    self.outside(column)

    def meet(self, column: int) -> None:
        """Both pointers to where they belong when `column` comes next, the same in every turn of a loop."""
        self.move_input(column)
        self.move_output(min(self.sums))

    def cut(self) -> tuple[Step, ...]:
        """The steps since the last cut."""
        steps, self.steps = tuple(self.steps), []
        return steps


def row_code(form: RowForm, most_blocks: int) -> RowCode:
    """The code of a row; with a loop if it would take more than `most_blocks` blocks of two columns."""
    first = -form.pad_w
    last = (form.out_w - 1) * form.stride_w - form.pad_w + 2
    # Pairs start at even columns, with stride 2 where outputs do.
    starts = range(first if form.stride_w == 2 else 2 * (first // 2), last + 1, 2)
    blocks = [tuple(c for c in (start, start + 1) if first <= c <= last) for start in starts]
    if form.folded:
        blocks = [block for block in blocks if any(0 <= column < form.in_w for column in block)]
    if len(blocks) > most_blocks:
        for size in range(most_blocks - 2, 0, -1):
            for start in (1, 2, 3):
                looped = _looped(form, blocks, start, size, most_blocks)
                if looped is not None:
                    return looped
    row = _Row(form)
    row.emit(blocks)
    return RowCode(row.cut(), (), 0, (), row.at_input, row.at_output)


def _looped(form: RowForm, blocks: list[tuple[int, ...]], start: int, size: int, most_blocks: int) -> RowCode | None:
    """With a loop over `size` blocks from number `start` on, or None if they do not repeat or leave too many others."""
    row = _Row(form)
    row.emit(blocks[:start])
    if not row.sums:
        return None
    row.meet(blocks[start][0])
    before = row.cut()
    repeats, state = 0, row
    body: tuple[Step, ...] = ()
    for at in range(start, len(blocks) - size, size):
        turn = copy.deepcopy(state)
        turn.emit(blocks[at : at + size])
        if not turn.sums:
            break
        turn.meet(blocks[at + size][0])
        steps = turn.cut()
        if repeats and steps != body:
            break
        repeats, body, state = repeats + 1, steps, turn
    rest = blocks[start + repeats * size :]
    if repeats < 2 or start + size + len(rest) > most_blocks:
        return None
    state.emit(rest)
    return RowCode(before, body, repeats, state.cut(), state.at_input, state.at_output)


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows of output that read the same rows of their windows; `base` is the first input row that they load.

    Groups that read as many rows share a body: the first of them has it, the others jump there and say by `state` where
    it must go on (`returns`: state and group number). A body that any of them repeats counts rows.
    """

    kind: Literal["top", "middle", "bottom"]
    rows: int
    base: int
    rows_read: int
    body: RowCode | None
    counted: bool
    state: int | None
    returns: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class LayerCode:
    """All rows of a layer, from the top."""

    groups: tuple[RowGroup, ...]


def layer_code(shape: Mapping[str, Any]) -> LayerCode:
    """The code of a layer that `depthwise3x3` has found to fit."""
    in_h, out_h, stride_h, pad_h = (int(shape[key]) for key in ("in_h", "out_h", "stride_h", "pad_h"))
    top = min(pad_h, out_h)
    bottom = int((out_h - 1) * stride_h - pad_h + 3 > in_h)
    beside = 2 if shape["two_rows"] else 3
    spans: list[tuple[Literal["top", "middle", "bottom"], int, int, int]] = []
    if top:
        spans.append(("top", top, 0, beside))
    if out_h - top - bottom:
        spans.append(("middle", out_h - top - bottom, top * stride_h - pad_h, 3))
    if bottom:
        spans.append(("bottom", bottom, (out_h - 1) * stride_h - pad_h - (beside == 3), beside))
    groups = []
    for number, (kind, rows, base, rows_read) in enumerate(spans):
        users = [at for at, span in enumerate(spans) if span[3] == rows_read]
        groups.append(
            RowGroup(
                kind,
                rows,
                base,
                rows_read,
                row_code(_form(shape, rows_read), _MOST_BLOCKS) if users[0] == number else None,
                any(spans[at][1] > 1 for at in users),
                users.index(number) if len(users) > 1 else None,
                tuple((state, at + 1) for state, at in enumerate(users) if state) if users[0] == number else (),
            )
        )
    return LayerCode(tuple(groups))


def _form(shape: Mapping[str, Any], rows_read: int) -> RowForm:
    in_w, in_c = int(shape["in_w"]), int(shape["in_c"])
    return RowForm(
        in_w=in_w,
        out_w=int(shape["out_w"]),
        stride_w=int(shape["stride_w"]),
        pad_w=int(shape["pad_w"]),
        rows=rows_read,
        folded=bool(shape["folded"]) and rows_read == 3,
        bias_loads=bool(shape["bias_loads"]),
        wide=bool(shape["wide"]),
        row_bytes=in_w * in_c,
        in_c=in_c,
        out_pitch=out_pitch(shape),
    )
