"""A matrix block whole, as instructions: gather, products by `matrix_schedule`, requantization, and the loops around.

The C function is ``block(run, output, weights, end, patch, count, pitch)``: `count` blocks of pixels, the first from
`run`. It calls the gather, which may use every register. The stream of weights begins with what all channels share: the
offset unless it is 0, then the factor where it is one (fast form); `matrix_form.stream` says what follows.

What registers do not hold lies on the stack, loaded after a store where that can be, as it is cheaper then on the M4. A
pair's channels go side by side, so that on the M7 no instruction waits for the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinydeploy.kernels.matrix_gather import GatherForm
from tinydeploy.kernels.matrix_schedule import BlockForm, BlockSchedule, block_schedule

_OUTPUT, _PATCH_END, _END, _OFFSET, _FACTOR, _RUN, _WEIGHTS = (f"[sp, #{4 * i}]" for i in range(7))
# The arguments that come on the stack stay where they are, above the frame and nine saved registers.
_FRAME_BYTES = 28
_PATCH, _COUNT, _PITCH = (f"[sp, #{_FRAME_BYTES + 36 + 4 * i}]" for i in range(3))


@dataclass(frozen=True, slots=True)
class Block:
    """A block's gather and products, how its sums become int8, as td_requantize_dsp.h names the forms, and how far
    apart two blocks are, in bytes of input and of output; negative where they run downwards. It computes `channels` of
    the `out_c` channels of its pixels."""

    gather: GatherForm
    form: BlockForm
    out_c: int
    channels: int
    requant: str
    shift: int
    offset: bool
    one_factor: bool
    run_step: int
    output_step: int

    @property
    def patch_bytes(self) -> int:
        """Bytes of the patch that it reads."""
        return 4 * self.form.units * self.form.columns

    def lines(self, gather: str) -> tuple[str, ...]:
        """All instructions; `gather` is the gather's function."""
        plan = block_schedule(self.form)
        return (
            *_begin(self, plan),
            *_patch(self, plan, gather),
            *_sums(plan),
            *_results(self, plan),
            *_again(self, plan),
        )


def _begin(block: Block, plan: BlockSchedule) -> Iterator[str]:
    yield from ("push {r4-r11, lr}", f"sub sp, #{_FRAME_BYTES}", f"str r1, {_OUTPUT}", f"str r3, {_END}")
    if block.offset:
        yield from ("ldr r3, [r2], #4", f"str r3, {_OFFSET}")
    if block.one_factor:
        yield from ("ldr r3, [r2], #4", f"str r3, {_FACTOR}")
    yield f"str r2, {_WEIGHTS}"
    if plan.turns and plan.patch_end is None:
        yield from (f"ldr r1, {_PATCH}", *_add("r1", block.patch_bytes, "r3"), f"str r1, {_PATCH_END}")


def _patch(block: Block, plan: BlockSchedule, gather: str) -> Iterator[str]:
    """Gather a block's patch, then load what the block needs."""
    yield from ("0:", f"str r0, {_RUN}", f"ldr r1, {_PATCH}")
    if block.gather.rows > 1:
        yield f"ldr r2, {_PITCH}"
    yield from (f"bl {gather}", f"ldr r0, {_PATCH}", f"ldr r2, {_WEIGHTS}")
    if plan.output is not None:
        yield f"ldr {plan.output}, {_OUTPUT}"
    if plan.patch_end is not None:
        yield from (f"mov {plan.patch_end}, r0", *_add(plan.patch_end, block.patch_bytes, "r3"))


def _add(register: str, value: int, scratch: str) -> Iterator[str]:
    """`register` plus a constant of up to 16 bits."""
    if abs(value) <= 4095:
        yield f"{'add' if value >= 0 else 'sub'} {register}, {register}, #{abs(value)}"
    else:
        yield f"movw {scratch}, #{abs(value)}"
        yield f"{'add' if value >= 0 else 'sub'} {register}, {register}, {scratch}"


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
    if block.offset:
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
    wide, own = block.form.wide, not block.one_factor
    names = [name for name, there in (("fa", own), ("b", not wide), ("fb", own)) if there]
    at = dict(zip(names, spare, strict=False))
    if names:
        yield _load([at[name] for name in names])
    shift = f", asr #{block.shift}" if block.shift else ""
    for pixel in reversed(range(len(both))):
        a, b = both[pixel], low[pixel]
        if not wide:
            yield from (f"sub {a}, {a}, {b}", f"add {b}, {at['b']}, {b}, lsl #8")
        for x, factor in ((a, at.get("fa", spare[-2])), (b, at.get("fb", spare[-2]))):
            yield f"smmla {x}, {x}, {factor}, {spare[-1]}" if block.offset else f"smmul {x}, {x}, {factor}"
        yield from (f"ssat {a}, #8, {a}{shift}", f"ssat {b}, #8, {b}{shift}")
        yield f"strb {b}, [{out}, #{pixel * block.out_c + 1}]"
        yield f"strb {a}, [{out}, #{pixel * block.out_c}]" if pixel else f"strb {a}, [{out}], #2"


def _right(block: Block, both: Sequence[str], low: Sequence[str], spare: Sequence[str], out: str) -> Iterator[str]:
    """First all of channel b, for its constants and those of a do not fit at a time."""
    wide, late, scratch = block.form.wide, block.form.late_bias, spare[4]
    fields = spare[:3] if wide else spare[:4]
    yield _load(fields)
    for pixel, (a, b) in enumerate(zip(both, low, strict=True)):
        if not wide:
            yield from (f"sub {a}, {a}, {b}", f"add {b}, {fields[0]}, {b}, lsl #1")
        yield from _right_steps(b, scratch, fields[-3:])
        yield f"strb {scratch}, [{out}, #{pixel * block.out_c + 1}]"
    fields = spare[:4] if late else spare[:3]
    yield _load(fields)
    for pixel in reversed(range(len(both))):
        a = both[pixel]
        if not wide:
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


def _again(block: Block, plan: BlockSchedule) -> Iterator[str]:
    """The next channels, then the next block."""
    if plan.output is None:
        yield f"str r0, {_OUTPUT}"
    yield from (f"ldr r0, {_PATCH}", f"ldr r3, {_END}", "cmp r2, r3", "bne 1b")
    out = plan.output or "r1"
    if plan.output is None:
        yield f"ldr r1, {_OUTPUT}"
    yield from (f"ldr r0, {_RUN}", f"ldr r2, {_COUNT}")
    # The output has moved on by a pixel's channels.
    yield from (*_add(out, block.output_step - block.channels, "r3"), f"str {out}, {_OUTPUT}")
    yield from (*_add("r0", block.run_step, "r3"), "subs r2, #1", f"str r2, {_COUNT}", "bne 0b")
    yield from (f"add sp, #{_FRAME_BYTES}", "pop {r4-r11, pc}")
