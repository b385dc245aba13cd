"""The matrix block's inner products as instructions: which registers hold what, and the order of loads and products.

A block computes `pixels` output pixels times `pairs` pairs of channels. It walks units of the patch: of each unit,
`columns` words of activations and one word of weights per pair and tap. Tap t multiplies, for output pixel i, column
``slots[t] + i``. A plain matrix product has one tap and a column per pixel; in a k x k window the taps of a kernel row
share columns, so that an activation is loaded once for several products.

Weights come in one of two forms. Narrow, a halfword holds both channels of a pair as 256 a + b: `both` sums
(256 a + b) x and, once SXTB16 has cut the halfword to b, `low` sums b x. Wide, each channel has halfwords of its own,
scaled as its requantization wants: nothing is cut here or subtracted later, for twice the bytes; `both` sums a x and
`low` b x then.

Registers: r0 walks the patch, r2 the weights; 12 are left. A tap goes through every `both` before every `low`, so that
on the M7, which issues one multiplication per cycle beside one load or SXTB16, no sum waits for the product before it.
"""

from __future__ import annotations

from dataclasses import dataclass

_REGISTERS = ("r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")


@dataclass(frozen=True, slots=True)
class BlockForm:
    """What the instructions of a block depend on; `slots` are in the order of use, which is the weights' order.

    With `late_bias` the sums begin at nothing. Up to `straight` units are written out, more are a loop of turns of
    about `unroll`.
    """

    pixels: int
    pairs: int
    units: int
    columns: int
    slots: tuple[int, ...]
    wide: bool
    late_bias: bool
    straight: int
    unroll: int

    @property
    def plain(self) -> bool:
        """Whether no two taps share a column."""
        return self.slots == (0,)

    @property
    def weights(self) -> int:
        """Words of weights per tap."""
        return self.pairs * (2 if self.wide else 1)


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
    head, turns = _rounds(form)
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


def _rounds(form: BlockForm) -> tuple[int, int]:
    """Units before the loop, and turns of the loop; the turn of nearly `unroll` units that makes for least code."""
    units, unroll = form.units, form.unroll
    if units <= form.straight:
        return units, 0
    best = min(range(max(1, unroll * 3 // 4), unroll + 1), key=lambda turn: (turn + (units - 1) % turn + 1, -turn))
    head = (units - 1) % best + 1
    return head, (units - head) // best


def _plain_words(form: BlockForm) -> tuple[int, int]:
    """Words of activations (per pixel) and of weights (per pair) that a plain product loads at a time."""
    if form.wide:
        return {3: (1, 1), 2: (2, 2)}[form.pixels]
    return {(3, 1): (1, 2), (2, 1): (2, 2), (1, 1): (4, 4), (2, 2): (1, 1), (1, 2): (4, 2)}[form.pixels, form.pairs]


def _wanted(form: BlockForm) -> int:
    """Registers for activations and weights."""
    if form.plain:
        x_words, w_words = _plain_words(form)
        return x_words * form.pixels + w_words * form.weights
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
        pixels, weights = self._form.pixels, self._form.weights
        x_words, w_words = _plain_words(self._form)
        x_registers, w_registers = self._pool[: x_words * pixels], self._pool[x_words * pixels :]
        for word in range(units):
            if word % w_words == 0:
                self._load_weights(w_registers[: min(w_words, units - word) * weights])
            if word % x_words == 0:
                self._load("r0", x_registers[: min(x_words, units - word) * pixels])
            x = x_registers[word % x_words * pixels :][:pixels]
            self._tap(w_registers[word % w_words * weights :][:weights], x)

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
        """The next words of weights; at first with those with which the sums begin."""
        if self._starting:
            registers = (*self._starts(), *registers)
        self._load("r2", registers)

    def _starts(self) -> tuple[str, ...]:
        """Where sums find what they begin with, in registers that are still free when each is first written."""
        form = self._form
        if form.late_bias:
            return ()
        return (self._both[-1], self._low[-1]) if form.wide else self._low[: form.pairs]

    def _load(self, base: str, registers: tuple[str, ...]) -> None:
        if len(registers) == 1:
            self._lines.append(f"ldr {registers[0]}, [{base}], #4")
        elif len(registers) == 2:
            self._lines.append(f"ldrd {registers[0]}, {registers[1]}, [{base}], #8")
        else:
            self._lines.append(f"ldm {base}!, {{{', '.join(registers)}}}")

    def _tap(self, weights: tuple[str, ...], x: tuple[str, ...]) -> None:
        form, starts = self._form, self._starts()
        if form.wide:
            (a, b), (from_a, from_b) = weights, starts
            self._products(self._both, a, x, from_a)
            self._products(self._low, b, x, from_b)
        else:
            groups = [slice(pair * form.pixels, (pair + 1) * form.pixels) for pair in range(form.pairs)]
            for at, w, start in zip(groups, weights, starts or (None,) * form.pairs, strict=True):
                self._products(self._both[at], w, x, start)
            self._lines += [f"sxtb16 {w}, {w}" for w in weights]
            for at, w in zip(groups, weights, strict=True):
                self._products(self._low[at], w, x, None)
        self._starting = False

    def _products(self, sums: tuple[str, ...], w: str, x: tuple[str, ...], start: str | None) -> None:
        """One tap into some sums, of which the first begin at `start`."""
        for total, value in zip(sums, x, strict=True):
            if not self._starting:
                self._lines.append(f"smlad {total}, {w}, {value}, {total}")
            elif start is not None:
                self._lines.append(f"smlad {total}, {w}, {value}, {start}")
            else:
                self._lines.append(f"smuad {total}, {w}, {value}")
