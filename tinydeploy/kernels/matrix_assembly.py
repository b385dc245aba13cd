"""A matrix block whole, as instructions: products by `matrix_schedule`, requantization, and the loop over channels.

Arguments: r0 the patch, r1 the output, r2 the stream of weights, r3 its end. The stream begins with what all channels
share: the offset, then the factor where it is one (fast form). `matrix_form.stream` says what follows.

On the stack: the patch, the output, the patch's end, the stream's end, the offset, the factor; the output and the
patch's end only where no register is left for them. Loads from there follow a store where they can, as that makes them
cheaper on the M4. A pair's channels go side by side, so that on the M7 no instruction waits for the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinydeploy.kernels.matrix_schedule import BlockForm, BlockSchedule, block_schedule

_PATCH, _OUTPUT, _PATCH_END, _END, _OFFSET, _FACTOR = (f"[sp, #{4 * i}]" for i in range(6))


@dataclass(frozen=True, slots=True)
class Block:
    """A block's products and how its sums become int8, as td_requantize_dsp.h names the forms."""

    form: BlockForm
    out_c: int
    requant: str
    scale: int
    shift: int
    one_factor: bool

    @property
    def patch_bytes(self) -> int:
        """Bytes of the patch that it reads."""
        return 4 * self.form.units * self.form.columns

    @property
    def lines(self) -> tuple[str, ...]:
        """All instructions."""
        plan = block_schedule(self.form)
        return (*_begin(self, plan), *_sums(plan), *_results(self, plan), *_again(plan))


def _begin(block: Block, plan: BlockSchedule) -> Iterator[str]:
    yield from ("push {r4-r11, lr}", "sub sp, #28", f"str r0, {_PATCH}", f"str r3, {_END}")
    if block.requant == "fast":
        yield from ("ldr r12, [r2], #4", f"str r12, {_OFFSET}")
    if block.one_factor:
        yield from ("ldr r12, [r2], #4", f"str r12, {_FACTOR}")
    if plan.output is None:
        yield f"str r1, {_OUTPUT}"
    elif plan.output != "r1":
        yield f"mov {plan.output}, r1"
    if plan.turns:
        end = plan.patch_end or "r12"
        yield from (f"movw {end}, #{block.patch_bytes}", f"add {end}, {end}, r0")
        if plan.patch_end is None:
            yield f"str {end}, {_PATCH_END}"


def _sums(plan: BlockSchedule) -> Iterator[str]:
    yield from ("1:", *plan.head)
    if plan.turns:
        yield from ("2:", *plan.turn)
        if plan.patch_end is None:
            yield f"ldr {plan.spare[-1]}, {_PATCH_END}"
        yield from (f"cmp r0, {plan.patch_end or plan.spare[-1]}", "bne 2b")


def _results(block: Block, plan: BlockSchedule) -> Iterator[str]:
    if plan.output is None:
        yield f"ldr r0, {_OUTPUT}"
    if block.requant == "fast":
        yield f"ldr {plan.spare[-1]}, {_OFFSET}"
    if block.one_factor:
        yield f"ldr {plan.spare[-2]}, {_FACTOR}"
    pixels = block.form.pixels
    for pair in range(block.form.pairs):
        sums = slice(pair * pixels, (pair + 1) * pixels)
        results = _fast if block.requant == "fast" else _right
        yield from results(block, plan.both[sums], plan.low[sums], plan.spare, plan.output or "r0")


def _fast(block: Block, both: Sequence[str], low: Sequence[str], spare: Sequence[str], out: str) -> Iterator[str]:
    """Of both channels of a pair, from the last pixel to the first, whose store takes the output along."""
    late, own = block.form.late_bias, not block.one_factor
    names = [name for name, there in (("a", late), ("fa", own), ("b", True), ("fb", own)) if there]
    at = dict(zip(names, spare, strict=False))
    yield _load([at[name] for name in names])
    offset = spare[-1]
    shift = f", asr #{block.shift}" if block.shift else ""
    for pixel in reversed(range(len(both))):
        a, b = both[pixel], low[pixel]
        yield f"sub {a}, {a}, {b}"
        if late:
            yield f"add {a}, {at['a']}, {a}, asr #{8 - block.scale}"
        yield f"add {b}, {at['b']}, {b}, lsl #{block.scale}" if block.scale else f"add {b}, {at['b']}, {b}"
        yield f"smmla {a}, {a}, {at.get('fa', spare[-2])}, {offset}"
        yield f"smmla {b}, {b}, {at.get('fb', spare[-2])}, {offset}"
        yield from (f"ssat {a}, #8, {a}{shift}", f"ssat {b}, #8, {b}{shift}")
        yield f"strb {b}, [{out}, #{pixel * block.out_c + 1}]"
        yield f"strb {a}, [{out}, #{pixel * block.out_c}]" if pixel else f"strb {a}, [{out}], #2"


def _right(block: Block, both: Sequence[str], low: Sequence[str], spare: Sequence[str], out: str) -> Iterator[str]:
    """First all of channel b, for its constants and those of a do not fit at a time."""
    scratch = spare[4]
    yield _load(spare[:4])
    for pixel, (a, b) in enumerate(zip(both, low, strict=True)):
        yield from (f"sub {a}, {a}, {b}", f"add {b}, {spare[0]}, {b}, lsl #1")
        yield from _right_steps(b, scratch, spare[1:4])
        yield f"strb {scratch}, [{out}, #{pixel * block.out_c + 1}]"
    late = block.form.late_bias
    fields = spare[:4] if late else spare[:3]
    yield _load(fields)
    for pixel in reversed(range(len(both))):
        a = both[pixel]
        yield f"add {a}, {fields[0]}, {a}, asr #7" if late else f"asr {a}, {a}, #7"
        yield from _right_steps(a, scratch, fields[-3:])
        yield f"strb {scratch}, [{out}, #{pixel * block.out_c}]" if pixel else f"strb {scratch}, [{out}], #2"


def _right_steps(x: str, result: str, constants: Sequence[str]) -> Iterator[str]:
    mantissa, offset, shift = constants
    yield f"smmlar {result}, {x}, {mantissa}, {offset}"
    yield f"add {result}, {result}, {x}, asr #31"
    yield f"asr {result}, {result}, {shift}"
    yield f"ssat {result}, #8, {result}"


def _load(registers: Sequence[str]) -> str:
    if len(registers) == 1:
        return f"ldr {registers[0]}, [r2], #4"
    return f"ldm r2!, {{{', '.join(registers)}}}"


def _again(plan: BlockSchedule) -> Iterator[str]:
    if plan.output is None:
        yield f"str r0, {_OUTPUT}"
    yield from (f"ldr r0, {_PATCH}", f"ldr r3, {_END}", "cmp r2, r3", "bne 1b", "add sp, #28", "pop {r4-r11, pc}")
