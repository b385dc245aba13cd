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
REACH_BYTES = 4095  # of a load's offset


@dataclass(frozen=True, slots=True)
class GatherForm:
    """`unroll` bounds how often four bytes of all columns are written out. With `held`, an even number of columns goes
    to FP registers from s0 on, word by word, and nothing to memory."""

    columns: tuple[int, ...]
    run: int
    rows: int
    unroll: int
    held: bool = False

    @property
    def words(self) -> int:
        """Words of a patch per column."""
        return 2 * self.rows * (self.run // 4) + (self.rows * (self.run % 4) + 1) // 2


def loop(label: int) -> tuple[str, str]:
    """Where a loop begins, at a multiple of 8: flash that is 64 bits wide gives its first two words at once."""
    return ".p2align 3", f"{label}:"


def gather_lines(form: GatherForm) -> tuple[str, ...] | None:
    """The instructions, return included, or None where registers or offsets do not suffice."""
    fours, tail = divmod(form.run, 4)
    if form.held:
        return _framed(_held(form, fours, tail))
    looped = fours > form.unroll
    rows_looped = looped and form.rows > 1
    if len(form.columns) > 7 or max(form.columns) + form.run > REACH_BYTES:
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
        lines += [f"mov r3, #{turns}", *loop(1), "str r3, [sp]", *row, "ldr r3, [sp]", "subs r3, #1", "bne 1b"]
    elif turns:
        lines += [f"mov r3, #{turns}", *loop(1), *row * together, "subs r3, #1", "bne 1b"]
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


def _held(form: GatherForm, fours: int, tail: int) -> list[str]:
    """Row by row; what is left of a row waits in registers of its own until there are two of it."""
    count = len(form.columns)
    raws, temps, low = _REGISTERS[:count], _REGISTERS[count : count + 2], _REGISTERS[count + 2 : 2 * count + 2]
    lines: list[str] = []

    def store(word: int, registers: tuple[str, ...], first: int = 0) -> None:
        for at in range(0, len(registers), 2):
            to = word * count + first + at
            lines.append(f"vmov s{to}, s{to + 1}, {registers[at]}, {registers[at + 1]}")

    def load(instruction: str, registers: tuple[str, ...], offset: int) -> None:
        for register, column in zip(registers, form.columns, strict=True):
            lines.append(f"{instruction} {register}, [r0, #{column + offset}]")

    for row in range(form.rows):
        lines += ["add r0, r0, r2"] if row else []
        for four in range(fours):
            word = 2 * (row * fours + four)
            load("ldr", raws, 4 * four)
            for at in range(0, count, 2):
                lines += [f"sxtb16 {temp}, {raw}" for temp, raw in zip(temps, raws[at : at + 2], strict=True)]
                store(word, temps, at)
            lines += [f"sxtb16 {raw}, {raw}, ror #8" for raw in raws]
            store(word + 1, raws)
        for byte in range(tail):
            number = row * tail + byte
            load("ldrsb", raws if number % 2 else low, 4 * fours + byte)
            if number % 2:
                lines += [f"pkhbt {a}, {a}, {b}, lsl #16" for a, b in zip(low, raws, strict=True)]
            if number % 2 or number == form.rows * tail - 1:
                store(2 * form.rows * fours + number // 2, low)
    return lines


def _row(form: GatherForm, fours: int, looped: bool) -> list[str]:
    # As many fours of each column side by side as registers hold.
    together = max(1, len(_REGISTERS) // (2 * len(form.columns)))
    if not looped:
        starts = range(0, fours, together)
        return [line for i in starts for line in _widen(form.columns, range(i, min(i + together, fours)))]
    each = next(n for n in (4, 3, 2, 1) if fours % n == 0 and n <= form.unroll)
    body = _widen(form.columns, range(min(together, each)), step=4 * each)
    for i in range(together, each, together):
        body += _widen(form.columns, range(i - each, min(i + together, each) - each))
    return [f"mov r3, #{fours // each}", *loop(2), *body, "subs r3, #1", "bne 2b"]


def _widen(columns: tuple[int, ...], fours: range, step: int = 0) -> list[str]:
    """Some fours of bytes of each column, by their numbers from r0 on, which then moves on by `step`."""
    count = len(columns)
    if len(_REGISTERS) < 2 * count:
        return _widen_many(columns, 4 * fours[0], step)
    groups = [_REGISTERS[2 * count * i : 2 * count * (i + 1)] for i in range(len(fours))]
    lines = []
    for four, group in zip(reversed(fours), reversed(groups), strict=True):
        lines += _loads(columns, group[count:], 4 * four, step if four == fours[0] else 0)
    for group in groups:
        lines += [f"sxtb16 {t}, {raw}" for t, raw in zip(group, group[count:], strict=False)]
        lines += [f"sxtb16 {raw}, {raw}, ror #8" for raw in group[count:]]
    return [*lines, _store(tuple(register for group in groups for register in group))]


def _loads(columns: tuple[int, ...], raws: tuple[str, ...], at: int, step: int) -> list[str]:
    """Four bytes of each column, `at` bytes from r0; with a step, those of column 0 come last and take r0 along."""
    pairs = list(zip(raws, columns, strict=True))
    lines = [f"ldr {raw}, [r0, #{column + at}]" for raw, column in pairs if column or not step]
    return [*lines, f"ldr {raws[columns.index(0)]}, [r0], #{step}"] if step else lines


def _widen_many(columns: tuple[int, ...], at: int, step: int) -> list[str]:
    """The same of more columns than have two registers each: first words are stored some at a time."""
    count = len(columns)
    temps, raws = _REGISTERS[:-count], _REGISTERS[-count:]
    lines = _loads(columns, raws, at, step)
    for start in range(0, count, len(temps)):
        part = raws[start : start + len(temps)]
        lines += [f"sxtb16 {t}, {raw}" for t, raw in zip(temps, part, strict=False)]
        lines.append(_store(temps[: len(part)]))
    lines += [f"sxtb16 {raw}, {raw}, ror #8" for raw in raws]
    return [*lines, _store(raws)]


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
