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

What does not fit them may stand in the FPU's registers: the activations of the first `held` units, for every channel of
the block. On the M4, VMOV fetches two of them in two cycles (Cortex-M4 TRM, FPU instruction set), LDRD from memory
takes three; and a block that holds all of them needs no r0 for the patch.
"""

from __future__ import annotations

from dataclasses import dataclass

_REGISTERS = ("r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")
# Single-precision registers of the FPU.
FP_REGISTERS = 32


@dataclass(frozen=True, slots=True)
class BlockForm:
    """What the instructions of a block depend on; `slots` are in the order of use, which is the weights' order.

    With `late_bias` the sums begin at nothing. Up to `straight` units are written out, more are a loop of turns of
    about `unroll`. The activations of the first `held` units of a plain product are in FP registers, word by word those
    of all pixels. Of those that follow before the loop, up to `single` find their operands by four LDR side by side,
    five cycles on the M4, where two LDRD take six.
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
    held: int = 0
    single: int = 0

    @property
    def all_held(self) -> bool:
        """Whether no activation is read from memory."""
        return self.held == self.units

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

    `spare` are free for constants once the sums are complete, and `out` for the output's address, which it holds all
    the time if `output_stays`. `patch_end` is a register, or None where it is kept elsewhere.
    """

    both: tuple[str, ...]
    low: tuple[str, ...]
    head: tuple[str, ...]
    turn: tuple[str, ...]
    turns: int
    spare: tuple[str, ...]
    patch_end: str | None
    out: str
    output_stays: bool


def block_schedule(form: BlockForm) -> BlockSchedule:
    """Instructions for `form`: the first units start the sums, the rest are a loop of at most `unroll` units."""
    registers = ("r0", "r1", *_REGISTERS) if form.all_held else _REGISTERS
    both, low, free = _sums(form, registers)
    head, turns = _rounds(form)
    # r1 comes last: what needs a register for long takes it first.
    pool = free if form.all_held else ("r1", *free)
    kept = [*([] if form.all_held else ["r1"]), *reversed(free)][: max(0, len(pool) - _wanted(form))]
    patch_end = kept.pop(0) if turns and kept else None
    output = kept.pop(0) if kept else None
    pool = tuple(r for r in pool if r not in (patch_end, output))
    writer = _Writer(form, both, low, pool)
    unroll = (form.units - head) // turns if turns else 0
    first, turn = writer.products(head, first=True), writer.products(unroll, first=False)
    # Else it takes the register of the patch, which is read by then.
    out, spare = (output, pool) if output else (pool[-1], pool[:-1]) if form.all_held else ("r0", pool)
    return BlockSchedule(
        both, low, tuple(first), tuple(turn), turns, spare, patch_end, out, output_stays=output is not None
    )


def _sums(form: BlockForm, registers: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Registers of `both`, of `low`, and those left. Wide, they go pair by pair, in the order of the biases."""
    count, pixels = form.pixels * form.pairs, form.pixels
    if not form.wide:
        return registers[:count], registers[count : 2 * count], registers[2 * count :]
    pairs = [registers[2 * pixels * pair : 2 * pixels * (pair + 1)] for pair in range(form.pairs)]
    both = tuple(r for pair in pairs for r in pair[:pixels])
    low = tuple(r for pair in pairs for r in pair[pixels:])
    return both, low, registers[2 * count :]


def _rounds(form: BlockForm) -> tuple[int, int]:
    """Units before the loop, and turns of the loop; the turn of nearly `unroll` units that makes for least code."""
    units, unroll = form.units, form.unroll
    if units <= max(form.straight, form.held):
        return units, 0

    def head(turn: int) -> int:
        # The loop finds its activations in memory.
        after = max(1, form.held)
        return after + (units - after) % turn

    best = min(range(max(1, unroll * 3 // 4), unroll + 1), key=lambda turn: (turn + head(turn), -turn))
    return head(best), (units - head(best)) // best


def _plain_words(form: BlockForm) -> tuple[int, int]:
    """Words of activations (per pixel) and of weights (per pair) that a plain product loads at a time."""
    if form.wide:
        return {(4, 1): (1, 1), (3, 1): (1, 1), (2, 1): (2, 2), (2, 2): (1, 1), (1, 2): (2, 1)}[form.pixels, form.pairs]
    return {(3, 1): (1, 2), (2, 1): (2, 2), (1, 1): (4, 4), (2, 2): (1, 1), (1, 2): (4, 2)}[form.pixels, form.pairs]


def _wanted(form: BlockForm) -> int:
    """Registers for activations and weights."""
    if form.plain:
        x_words, w_words = _plain_words(form)
        return (2 if form.all_held else x_words * form.pixels) + w_words * form.weights
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
            self._plain(units, min(self._form.held, units) if first else 0)
        else:
            for _ in range(units):
                self._window()
        return self._lines

    def _plain(self, units: int, held: int) -> None:
        pixels, weights = self._form.pixels, self._form.weights
        x_words, w_words = _plain_words(self._form)
        if self._form.all_held:
            w_registers, x_registers = self._pool[: w_words * weights], self._pool[w_words * weights :][:2]
        else:
            x_registers, w_registers = self._pool[: x_words * pixels], self._pool[x_words * pixels :]
        # Every second word, so that the pointers move on by LDRD: an LDR that moves its pointer cannot follow at once.
        single = range(held + 1, min(units - 1, held + 2 * self._form.single) + 1, 2) if held else range(0)
        for word in range(units):
            if word in single:
                for base, registers in (("r2", w_registers), ("r0", x_registers)):
                    self._lines += [f"ldr {r}, [{base}, #{at}]" for r, at in zip(registers, (-8, -4), strict=True)]
                self._tap(w_registers, x_registers)
                continue
            if word + 1 in single:
                for base, registers in (("r2", w_registers), ("r0", x_registers)):
                    self._lines.append(f"ldrd {', '.join(registers)}, [{base}], #16")
                self._tap(w_registers, x_registers)
                continue
            if word % w_words == 0:
                self._load_weights(w_registers[: min(w_words, units - word) * weights])
            if word < held:
                self._held_tap(word, w_registers[word % w_words * weights :][:weights], x_registers)
                continue
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
        if not form.wide:
            return self._low[: form.pairs]
        # Of each channel the sum of the last pixel.
        ends = range(form.pixels - 1, form.pixels * form.pairs, form.pixels)
        return tuple(sums[end] for end in ends for sums in (self._both, self._low))

    def _load(self, base: str, registers: tuple[str, ...]) -> None:
        if len(registers) == 1:
            self._lines.append(f"ldr {registers[0]}, [{base}], #4")
        elif len(registers) == 2:
            self._lines.append(f"ldrd {registers[0]}, {registers[1]}, [{base}], #8")
        else:
            self._lines.append(f"ldm {base}!, {{{', '.join(registers)}}}")

    def _held_tap(self, word: int, weights: tuple[str, ...], x_registers: tuple[str, ...]) -> None:
        """A tap whose activations VMOV fetches, as many pixels at a time as registers take."""
        pixels, together = self._form.pixels, len(x_registers)
        for first in range(0, pixels, together):
            held = (f"s{word * pixels + first + i}" for i in range(together))
            self._lines.append(f"vmov {', '.join(x_registers)}, {', '.join(held)}")
            self._tap(weights, x_registers, first)

    def _tap(self, weights: tuple[str, ...], x: tuple[str, ...], first: int = 0) -> None:
        """Products of one word of every channel's weights and of some pixels' activations, from the `first` on."""
        form, starts = self._form, self._starts()
        at = [slice(pair * form.pixels + first, pair * form.pixels + first + len(x)) for pair in range(form.pairs)]
        if form.wide:
            for channel, weight in enumerate(weights):
                sums = (self._both, self._low)[channel % 2][at[channel // 2]]
                self._products(sums, weight, x, starts[channel])
        else:
            for pair, weight, start in zip(at, weights, starts or (None,) * form.pairs, strict=True):
                self._products(self._both[pair], weight, x, start)
            self._lines += [f"sxtb16 {w}, {w}" for w in weights]
            for pair, weight in zip(at, weights, strict=True):
                self._products(self._low[pair], weight, x, None)
        if first + len(x) == form.pixels:
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
