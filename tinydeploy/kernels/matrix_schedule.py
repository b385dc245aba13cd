"""The matrix block's inner products as instructions: which registers hold what, and the order of loads and products.

A block computes `pixels` output pixels times `pairs` pairs of channels. It walks units of the patch: of each unit,
`columns` words of activations and one word of weights per pair and tap. Tap t multiplies, for output pixel i, column
``slots[t] + i``. A plain matrix product has one tap and a column per pixel; in a k x k window the taps of a kernel row
share columns, so that an activation is loaded once for several products.

Registers: r0 walks the patch, r2 the weights; 12 are left. A tap takes every `both` (the pair's common sum) before its
weights are narrowed and taken for every `low`, so that on the M7, which issues one multiplication per cycle beside one
load or SXTB16, no sum waits for the product before it.
"""

from __future__ import annotations

from dataclasses import dataclass

_REGISTERS = ("r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")


@dataclass(frozen=True, slots=True)
class BlockForm:
    """What the instructions of a block depend on; `slots` are in the order of use, which is the weights' order."""

    pixels: int
    pairs: int
    units: int
    columns: int
    slots: tuple[int, ...]
    late_bias: bool
    unroll: int

    @property
    def plain(self) -> bool:
        """Whether no two taps share a column."""
        return self.slots == (0,)


@dataclass(frozen=True, slots=True)
class BlockSchedule:
    """`head`, then `turn` as often as `turns` says. `both` and `low` hold the sums of pair k, pixel i
    at k * pixels + i.

    `spare` are free for constants once the sums are complete. `patch_end` and `output` are registers, or None where
    they stay on the stack.
    """

    both: tuple[str, ...]
    low: tuple[str, ...]
    head: tuple[str, ...]
    turn: tuple[str, ...]
    turns: int
    spare: tuple[str, ...]
    patch_end: str | None
    output: str | None


def block_schedule(form: BlockForm) -> BlockSchedule:
    """Instructions for `form`: the first units start the sums, the rest are a loop of at most `unroll` units."""
    sums = form.pixels * form.pairs
    both, low = _REGISTERS[:sums], _REGISTERS[sums : 2 * sums]
    free = _REGISTERS[2 * sums :]
    head, turns = _rounds(form.units, form.unroll)
    used = min(len(free) + 1, _wanted(form))
    # r1 comes last: what needs a register for long takes it first.
    kept = ["r1", *reversed(free)][: len(free) + 1 - used]
    patch_end = kept.pop(0) if turns and kept else None
    output = kept.pop(0) if kept else None
    taken = {patch_end, output}
    pool = tuple(r for r in ("r1", *free) if r not in taken)
    writer = _Writer(form, both, low, pool[:used] if "r1" not in taken else pool)
    unroll = (form.units - head) // turns if turns else 0
    return BlockSchedule(
        both,
        low,
        tuple(writer.products(head, first=True)),
        tuple(writer.products(unroll, first=False)),
        turns,
        pool,
        patch_end,
        output,
    )


def _rounds(units: int, unroll: int) -> tuple[int, int]:
    """Units before the loop, and turns of the loop: no loop up to half as many again as `unroll`, else as little code
    as turns of nearly `unroll` units allow."""
    if units <= unroll + unroll // 2:
        return units, 0
    best = min(range(max(1, unroll * 3 // 4), unroll + 1), key=lambda turn: (turn + (units - 1) % turn + 1, -turn))
    head = (units - 1) % best + 1
    return head, (units - head) // best


# Words of activations (per pixel) and of weights (per pair) that a plain product loads at a time.
_PLAIN_WORDS = {(3, 1): (1, 2), (2, 1): (2, 2), (1, 1): (2, 2), (1, 2): (2, 2), (2, 2): (1, 1)}


def _wanted(form: BlockForm) -> int:
    """Registers for activations and weights."""
    if form.plain:
        x_words, w_words = _PLAIN_WORDS[form.pixels, form.pairs]
        return x_words * form.pixels + w_words * form.pairs
    widest = max(len(group) + form.pixels - 1 for group in _groups(form.slots))
    return widest + len(form.slots) * form.pairs


def _groups(slots: tuple[int, ...]) -> list[list[int]]:
    """Taps (by number) whose columns are neighbours and so share them: those of one phase of the stride."""
    groups: list[list[int]] = []
    for tap, slot in enumerate(slots):
        if groups and slot == slots[tap - 1] + 1:
            groups[-1].append(tap)
        else:
            groups.append([tap])
    return groups


class _Writer:
    """Writes the products of some units, with sums in `both` and `low`, loading into `pool`."""

    def __init__(self, form: BlockForm, both: tuple[str, ...], low: tuple[str, ...], pool: tuple[str, ...]) -> None:
        self._form, self._both, self._low, self._pool = form, both, low, pool
        self._lines: list[str] = []
        self._starting = False

    def products(self, units: int, *, first: bool) -> list[str]:
        """The instructions of `units` units; with `first` they start the sums."""
        self._lines, self._starting = [], first
        if self._form.plain:
            self._plain(units)
        else:
            for _ in range(units):
                self._window()
        return self._lines

    def _plain(self, units: int) -> None:
        pixels, pairs = self._form.pixels, self._form.pairs
        x_words, w_words = _PLAIN_WORDS[pixels, pairs]
        x_registers, w_registers = self._pool[: x_words * pixels], self._pool[x_words * pixels :]
        for word in range(units):
            if word % w_words == 0:
                self._load_weights(w_registers[: min(w_words, units - word) * pairs])
            if word % x_words == 0:
                self._load("r0", x_registers[: min(x_words, units - word) * pixels])
            x = x_registers[word % x_words * pixels :][:pixels]
            self._tap(w_registers[word % w_words * pairs :][:pairs], x)

    def _window(self) -> None:
        """One unit whose taps share columns: of each phase all columns that fit, and weights as registers fall free."""
        pixels, pairs = self._form.pixels, self._form.pairs
        left = len(self._form.slots)
        free, weights = list(self._pool), list[str]()
        for group in _groups(self._form.slots):
            ahead = list(range(len(group) + pixels - 1))
            columns: dict[int, str] = {}
            for tap in range(len(group)):
                if len(columns) < pixels and ahead:
                    room = len(free) - (0 if weights else pairs)
                    loaded, ahead = ahead[:room], ahead[room:]
                    self._load("r0", tuple(free[: len(loaded)]))
                    columns |= dict(zip(loaded, free, strict=False))
                    del free[: len(loaded)]
                if not weights:
                    count = min(left, len(free) // pairs) * pairs
                    weights, free = free[:count], free[count:]
                    self._load_weights(tuple(weights))
                now, weights = weights[:pairs], weights[pairs:]
                self._tap(tuple(now), tuple(columns[tap + i] for i in range(pixels)))
                left -= 1
                # In ascending order, as LDM loads them.
                free = sorted([*free, *now, columns.pop(tap)], key=self._pool.index)
            free = sorted([*free, *columns.values()], key=self._pool.index)

    def _load_weights(self, registers: tuple[str, ...]) -> None:
        """The next words of weights; at first each pair's bias comes with them, where the sums begin with it."""
        if self._starting and not self._form.late_bias:
            registers = (*self._low[: self._form.pairs], *registers)
        self._load("r2", registers)

    def _load(self, base: str, registers: tuple[str, ...]) -> None:
        if len(registers) == 1:
            self._lines.append(f"ldr {registers[0]}, [{base}], #4")
        elif len(registers) == 2:
            self._lines.append(f"ldrd {registers[0]}, {registers[1]}, [{base}], #8")
        else:
            self._lines.append(f"ldm {base}!, {{{', '.join(registers)}}}")

    def _tap(self, weights: tuple[str, ...], x: tuple[str, ...]) -> None:
        pixels = self._form.pixels
        for sums, narrow in ((self._both, False), (self._low, True)):
            if narrow:
                self._lines += [f"sxtb16 {w}, {w}" for w in weights]
            for pair, w in enumerate(weights):
                for pixel in range(pixels):
                    total = sums[pair * pixels + pixel]
                    start = self._low[pair] if not narrow and not self._form.late_bias else None
                    if not self._starting:
                        self._lines.append(f"smlad {total}, {w}, {x[pixel]}, {total}")
                    elif start:
                        self._lines.append(f"smlad {total}, {w}, {x[pixel]}, {start}")
                    else:
                        self._lines.append(f"smuad {total}, {w}, {x[pixel]}")
        self._starting = False
