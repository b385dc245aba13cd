"""Patches to halfwords, as instructions: some columns of bytes side by side, row by row, into words for a matrix block.

A patch has `rows` rows of `run` bytes in each of several columns, which are `columns` bytes from the row's start. Four
bytes of a column become the words (0, 2) and (1, 3) by SXTB16; for every four bytes of a row all columns' first words
come, then all second ones. What is left of each run follows after all rows, two bytes per word, in order.

Only blocks call it, so all registers but the stack pointer may change. r0 walks the rows, r1 the words, r2 is the
distance of two rows in bytes, r3 counts, lr leads back. Loads stand side by side, since on
the M4 a load after another costs one cycle less, and words are stored by STM.
"""

from __future__ import annotations

from dataclasses import dataclass

_REGISTERS = ("r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")
_REACH = 4095  # of a load's offset


@dataclass(frozen=True, slots=True)
class GatherForm:
    """`unroll` bounds how often four bytes of all columns are written out."""

    columns: tuple[int, ...]
    run: int
    rows: int
    unroll: int

    @property
    def words(self) -> int:
        """Words of a patch per column."""
        return 2 * self.rows * (self.run // 4) + (self.rows * (self.run % 4) + 1) // 2


def gather_lines(form: GatherForm) -> tuple[str, ...] | None:
    """The instructions, return included, or None where registers or offsets do not suffice."""
    fours, tail = divmod(form.run, 4)
    looped = fours > form.unroll
    rows_looped = looped and form.rows > 1
    if len(form.columns) > 7 or max(form.columns) + form.run > _REACH:
        return None
    if tail and (len(form.columns) > 5 or form.rows * tail > 16 or rows_looped):
        return None
    lines = [f"sub r2, r2, #{4 * fours}"] if rows_looped else []
    together = 1 if looped else max(n for n in range(1, form.rows + 1) if form.rows % n == 0 and n * fours <= _MOST)
    row = _row(form, fours, looped)
    if form.rows > 1:
        row.append("add r0, r0, r2")
    turns = form.rows // together if fours else 0
    if turns == 1:
        lines += row * together
    elif rows_looped:
        lines += [f"mov r3, #{turns}", "1:", "str r3, [sp]", *row, "ldr r3, [sp]", "subs r3, #1", "bne 1b"]
    elif turns:
        lines += [f"mov r3, #{turns}", "1:", *row * together, "subs r3, #1", "bne 1b"]
    if tail:
        lines += _tails(form, tail, restore=form.rows > 1 and fours > 0, at=0 if looped else 4 * fours)
    return _framed(lines)


# Fours of bytes of a column that are written out when whole rows are.
_MOST = 8


def _framed(lines: list[str]) -> tuple[str, ...]:
    """With the return; the place at the stack's end holds r0 at first."""
    if any("[sp]" in line for line in lines):
        return ("push {r0, lr}", *lines, "pop {r3, pc}")
    if any("lr" in line for line in lines):
        return ("push {lr}", *lines, "pop {pc}")
    return (*lines, "bx lr")


def _row(form: GatherForm, fours: int, looped: bool) -> list[str]:
    if not looped:
        return [line for i in range(fours) for line in _widen(form.columns, 4 * i)]
    each = next(n for n in (4, 3, 2, 1) if fours % n == 0 and n <= form.unroll)
    body = _widen(form.columns, 0, step=4 * each)
    for i in range(1, each):
        body += _widen(form.columns, 4 * (i - each))
    return [f"mov r3, #{fours // each}", "2:", *body, "subs r3, #1", "bne 2b"]


def _widen(columns: tuple[int, ...], at: int, step: int = 0) -> list[str]:
    """Four bytes of each column, `at` bytes from r0, which then moves on by `step`."""
    count = len(columns)
    temps = _REGISTERS[: min(count, len(_REGISTERS) - count)]
    raws = _REGISTERS[len(temps) : len(temps) + count]
    lines = [
        f"ldr {raw}, [r0, #{column + at}]" for raw, column in zip(raws, columns, strict=True) if column or not step
    ]
    if step:
        lines.append(f"ldr {raws[columns.index(0)]}, [r0], #{step}")
    # The words that come first need registers of their own: as many as there are at a time.
    for start in range(0, count, len(temps)):
        part = raws[start : start + len(temps)]
        lines += [f"sxtb16 {t}, {raw}" for t, raw in zip(temps, part, strict=False)]
        if len(temps) < count:
            lines.append(_store(temps[: len(part)]))
    lines += [f"sxtb16 {raw}, {raw}, ror #8" for raw in raws]
    return [*lines, _store(raws if len(temps) < count else (*temps, *raws))]


def _store(registers: tuple[str, ...]) -> str:
    return f"stm r1!, {{{', '.join(registers)}}}" if len(registers) > 1 else f"str {registers[0]}, [r1], #4"


def _tails(form: GatherForm, tail: int, *, restore: bool, at: int) -> list[str]:
    lines = ["ldr r0, [sp]"] if restore else []
    count = len(form.columns)
    low, high = _REGISTERS[:count], _REGISTERS[count : 2 * count]
    row = 0
    for halfword in range(form.rows * tail):
        if halfword // tail > row:
            row += 1
            lines.append("add r0, r0, r2")
        registers = high if halfword % 2 else low
        lines += [
            f"ldrsb {r}, [r0, #{column + at + halfword % tail}]"
            for r, column in zip(registers, form.columns, strict=True)
        ]
        if halfword % 2:
            lines += [f"pkhbt {a}, {a}, {b}, lsl #16" for a, b in zip(low, high, strict=True)]
        if halfword % 2 or halfword == form.rows * tail - 1:
            lines.append(_store(low))
    return lines
