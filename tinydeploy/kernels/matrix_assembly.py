"""A matrix block whole, as instructions: gather, products by `matrix_schedule`, requantization, and the loops around.

The C function is ``block(run, output, weights, end, patch, count, pitch)``: `count` blocks of pixels, the first from
`run`. It calls the gather, which may use every register. The stream of weights begins with what all channels share: the
offset unless it is 0, then the factor where it is one (fast form); `matrix_form.stream` says what follows.

What registers do not hold lies in those of the FPU that are left, else on the stack. A pair's channels go side by side,
so that on the M7 no instruction waits for the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinydeploy.kernels.matrix_gather import GatherForm, loop
from tinydeploy.kernels.matrix_schedule import FP_REGISTERS, BlockForm, BlockSchedule, block_schedule

# What a block keeps besides its sums, the most often used first.
_KEPT = ("output", "end", "patch_end", "offset", "factor", "weights", "run")
# The FP registers from this on belong to the caller, as do r4 to r11 and lr.
_FIRST_SAVED = 16
_SAVED_BYTES = 36


@dataclass(frozen=True, slots=True)
class Block:
    """A block's gather and products, how its sums become int8, as td_requantize_dsp.h names the forms, and how far
    apart two blocks are, in bytes of input and of output; negative where they run downwards. It computes `channels` of
    the `out_c` channels of its pixels; the code for some of them stands there `repeats` times."""

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
    repeats: int = 1

    @property
    def patch_bytes(self) -> int:
        """Bytes of the patch that it reads."""
        return 4 * self.form.units * self.form.columns

    @property
    def held_bytes(self) -> int:
        """Bytes of the patch that go to FP registers; all others follow."""
        return 4 * self.form.held * self.form.columns

    def lines(self, gather: str, *, gather_in_c: bool) -> tuple[str, ...]:
        """All instructions; `gather` is the gather's function, which keeps the FP registers but for `gather_in_c`."""
        plan = block_schedule(self.form)
        frame = _frame(self, plan, fp_registers=0 if gather_in_c else FP_REGISTERS)
        channels = (*_sums(plan, frame), *_results(self, plan, frame)) * self.repeats
        begin = (*_begin(self, plan, frame), *_patch(self, plan, frame, gather), *loop(1))
        return (*begin, *channels, *_again(self, plan, frame))


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a block finds what it keeps, by name: in FP registers, or from the stack's end upwards, `stack_bytes` in
    all. Above them lie the FP registers up to `last_fp` that are the caller's, and the last arguments."""

    places: Mapping[str, str]
    stack_bytes: int
    last_fp: int

    def get(self, register: str, name: str) -> str:
        """Load what is kept under this name."""
        place = self.places[name]
        return f"{'ldr' if place.startswith('[') else 'vmov'} {register}, {place}"

    def put(self, register: str, name: str) -> str:
        """Keep a register under this name."""
        place = self.places[name]
        return f"str {register}, {place}" if place.startswith("[") else f"vmov {place}, {register}"

    @property
    def saved(self) -> str | None:
        """The caller's FP registers that the block changes."""
        return f"{{s{_FIRST_SAVED}-s{self.last_fp}}}" if self.last_fp >= _FIRST_SAVED else None


def _frame(block: Block, plan: BlockSchedule, fp_registers: int) -> Frame:
    """The frame of a block that may use so many FP registers."""
    needed = {"patch_end": plan.turns > 0 and plan.patch_end is None, "offset": block.offset}
    needed["factor"] = block.one_factor
    kept = [name for name in _KEPT if needed.get(name, True)]
    first = block.held_bytes // 4
    in_fp, on_stack = kept[: max(0, fp_registers - first)], kept[max(0, fp_registers - first) :]
    last_fp = first + len(in_fp) - 1
    # Functions in C want the stack at a multiple of 8.
    stack_bytes = 4 * len(on_stack) + (4 if len(on_stack) % 2 == 0 and on_stack else 0)
    places = {name: f"s{first + at}" for at, name in enumerate(in_fp)}
    places |= {name: f"[sp, #{4 * at}]" for at, name in enumerate(on_stack)}
    above = stack_bytes + 4 * max(0, last_fp + 1 - _FIRST_SAVED) + _SAVED_BYTES
    places |= {name: f"[sp, #{above + 4 * at}]" for at, name in enumerate(("patch", "count", "pitch"))}
    return Frame(places, stack_bytes, last_fp)


def _begin(block: Block, plan: BlockSchedule, frame: Frame) -> Iterator[str]:
    yield "push {r4-r11, lr}"
    if frame.saved:
        yield f"vpush {frame.saved}"
    if frame.stack_bytes:
        yield f"sub sp, #{frame.stack_bytes}"
    yield from (frame.put("r1", "output"), frame.put("r3", "end"))
    for name, there in (("offset", block.offset), ("factor", block.one_factor)):
        if there:
            yield from ("ldr r3, [r2], #4", frame.put("r3", name))
    yield frame.put("r2", "weights")
    if block.held_bytes and not block.form.all_held:
        # What is not held is what is read again and again.
        yield from (frame.get("r1", "patch"), *_add("r1", block.held_bytes, "r3"), frame.put("r1", "patch"))
    if plan.turns and plan.patch_end is None:
        rest = block.patch_bytes - block.held_bytes
        yield from (frame.get("r1", "patch"), *_add("r1", rest, "r3"), frame.put("r1", "patch_end"))


def _patch(block: Block, plan: BlockSchedule, frame: Frame, gather: str) -> Iterator[str]:
    """Gather a block's patch, then load what the block needs."""
    held = block.held_bytes if not block.form.all_held else 0
    yield from (*loop(0), frame.put("r0", "run"), frame.get("r1", "patch"))
    if held:
        yield f"sub r1, #{held}"
    if block.gather.rows > 1:
        yield frame.get("r2", "pitch")
    yield f"bl {gather}"
    if not block.form.all_held:
        yield frame.get("r0", "patch")
    yield frame.get("r2", "weights")
    if plan.output_stays:
        yield frame.get(plan.out, "output")
    if held:
        yield from (f"sub r1, r0, #{held}", f"vldmia r1, {{s0-s{held // 4 - 1}}}")
    if plan.patch_end is not None:
        yield from (f"mov {plan.patch_end}, r0", *_add(plan.patch_end, block.patch_bytes - held, "r3"))


def _add(register: str, value: int, scratch: str) -> Iterator[str]:
    """`register` plus a constant of up to 16 bits."""
    if abs(value) <= 4095:
        yield f"{'add' if value >= 0 else 'sub'} {register}, {register}, #{abs(value)}"
    else:
        yield f"movw {scratch}, #{abs(value)}"
        yield f"{'add' if value >= 0 else 'sub'} {register}, {register}, {scratch}"


def _sums(plan: BlockSchedule, frame: Frame) -> Iterator[str]:
    yield from plan.head
    if plan.turns:
        yield from (*loop(2), *plan.turn)
        if plan.patch_end is None:
            yield frame.get(plan.spare[-1], "patch_end")
        yield from (f"cmp r0, {plan.patch_end or plan.spare[-1]}", "bne 2b")


def _results(block: Block, plan: BlockSchedule, frame: Frame) -> Iterator[str]:
    """Every pair's sums to bytes, its constants loaded with those of as many others as registers take."""
    spare = list(plan.spare)
    if not plan.output_stays:
        yield frame.get(plan.out, "output")
    shared = {}
    for name, there in (("offset", block.offset), ("factor", block.one_factor)):
        if there:
            shared[name] = spare.pop()
            yield frame.get(shared[name], name)
    pixels, fields = block.form.pixels, _fast_fields(block)
    together = max(1, len(spare) // len(fields)) if fields else 1
    for pair in range(block.form.pairs):
        sums = slice(pair * pixels, (pair + 1) * pixels)
        if block.requant == "right":
            yield from _right(block, plan.both[sums], plan.low[sums], spare, plan.out)
            continue
        if fields and pair % together == 0:
            yield _load(spare[: min(together, block.form.pairs - pair) * len(fields)])
        own = spare[pair % together * len(fields) :]
        at = shared | dict(zip(fields, own, strict=False))
        yield from _fast(block, plan.both[sums], plan.low[sums], at, plan.out)
    if not plan.output_stays:
        yield frame.put(plan.out, "output")


def _fast_fields(block: Block) -> tuple[str, ...]:
    """A pair's constants in the stream: factors, unless all channels share one, and the second channel's bias."""
    own = not block.one_factor
    return tuple(name for name, there in (("fa", own), ("b", not block.form.wide), ("fb", own)) if there)


def _fast(block: Block, both: Sequence[str], low: Sequence[str], at: Mapping[str, str], out: str) -> Iterator[str]:
    """Of both channels of a pair, from the last pixel to the first, whose store takes the output along."""
    shift = f", asr #{block.shift}" if block.shift else ""
    for pixel in reversed(range(len(both))):
        a, b = both[pixel], low[pixel]
        if not block.form.wide:
            yield from (f"sub {a}, {a}, {b}", f"add {b}, {at['b']}, {b}, lsl #8")
        for x, own in ((a, "fa"), (b, "fb")):
            factor = at.get(own) or at["factor"]
            yield f"smmla {x}, {x}, {factor}, {at['offset']}" if block.offset else f"smmul {x}, {x}, {factor}"
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


def _again(block: Block, plan: BlockSchedule, frame: Frame) -> Iterator[str]:
    """The next channels, then the next block."""
    if not block.form.all_held:
        yield frame.get("r0", "patch")
    yield from (frame.get("r3", "end"), "cmp r2, r3", "bne 1b")
    out = plan.out if plan.output_stays else "r1"
    if not plan.output_stays:
        yield frame.get("r1", "output")
    yield from (frame.get("r0", "run"), frame.get("r2", "count"))
    # The output has moved on by a pixel's channels.
    yield from (*_add(out, block.output_step - block.channels, "r3"), frame.put(out, "output"))
    yield from (*_add("r0", block.run_step, "r3"), "subs r2, #1", frame.put("r2", "count"), "bne 0b")
    if frame.stack_bytes:
        yield f"add sp, #{frame.stack_bytes}"
    if frame.saved:
        yield f"vpop {frame.saved}"
    yield "pop {r4-r11, pc}"
