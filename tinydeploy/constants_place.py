"""Where each step reads its constants on one board, by predicted cycles: in flash, or in a copy that is worth it.

A copy in the arena costs hardly any RAM: it lies where nothing else stands during its step, and is made anew in every
inference, which pays where a kernel goes over its weights often. Only where no such place is left may the arena grow a
little. A copy in RAM that start-up makes costs its bytes for good: ``--optimize speed`` alone makes such, of those
constants that save the most cycles within the board's room.

Only chips whose flash is known have a choice (``flash_reads``); on all others constants stay where the board wants
them. docs/CHOICES.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tinydeploy.boards import Board, Memory
from tinydeploy.compiler import Program, distinct_constants
from tinydeploy.flash_reads import FlashReads, flash_reads_of
from tinydeploy.kernels.base import ConstantsPlace, Implementation, Residence, aligned
from tinydeploy.optimize import Optimize
from tinydeploy.placement import arena_memory, rooms
from tinydeploy.plan import Buffer, MemoryPlan, Step

# By how much of its size the arena may grow for copies; the image at its peak has weights of a few hundred bytes.
_GROWTH: dict[Optimize, float] = {"speed": 1 / 32, "balanced": 1 / 32, "ram": 0.0}
# The knapsack counts RAM in so many parts of what there is, or in single bytes' alignment where that is more.
_PARTS = 4096


@dataclass(frozen=True, slots=True)
class Choice:
    """Where one step's constants are, and what each place that was open would cost an inference, in cycles; and which
    form of its kernel runs, what each would cost with its constants in the best place, and the bytes of its code, where
    there are several."""

    step: int
    name: str
    size_bytes: int
    residence: Residence
    cycles: dict[Residence, int]
    form: str | None
    form_cycles: dict[str, int]
    form_code_bytes: dict[str, int]


def choices(program: Program) -> tuple[Choice, ...]:
    """What `place_constants` has chosen, step by step; nothing where it had no choice."""
    made = []
    for number, step in enumerate(program.steps):
        place, form = step.implementation.place, step.implementation.form
        if place is not None:
            size = step.implementation.constants_bytes
            forms = (form.name, dict(form.cycles), dict(form.code_bytes)) if form is not None else (None, {}, {})
            made.append(Choice(number, step.op.name, size, place.residence, dict(place.cycles), *forms))
    return tuple(made)


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that a memory has left for copies. Behind a Cortex-M7's cache it makes a core wait as well, only less."""

    memory: str
    size_bytes: int
    behind_cache: bool


@dataclass(frozen=True, slots=True)
class Site:
    """What there is to choose from: the flash, up to where the arena may grow, and where start-up may copy to."""

    reads: FlashReads
    arena: Room
    copies: tuple[Room, ...]


def site_of(program: Program, board: Board, optimize: Optimize) -> Site | None:
    """The choices for `program`; None where there are none."""
    reads = flash_reads_of(board.part)
    if reads is None or board.weights[0].kind != "flash" or optimize == "flash":
        return None

    def room(memory: Memory, size_bytes: int) -> Room:
        return Room(memory.name, size_bytes, board.core.caches and memory.name != "dtcm")

    arena_bytes = program.plan.arena_bytes
    free = rooms(board, arena_bytes)
    home = arena_memory(board, arena_bytes)
    growth = min(int(arena_bytes * _GROWTH[optimize]), dict(free)[home])
    copies = tuple(room(memory, size) for memory, size in free) if optimize == "speed" else ()
    return Site(reads, room(home, arena_bytes + growth), copies)


def place_constants(program: Program, board: Board, optimize: Optimize) -> Program:
    """`program` with a place for the constants of every step that has any, and their copies in its plan."""
    site = site_of(program, board, optimize)
    if site is None:
        return program
    gaps = [gap(program.plan, number, step.implementation, site) for number, step in enumerate(program.steps)]
    costs = [
        constants_cycles(step.implementation, site, in_arena=at is not None)
        for step, at in zip(program.steps, gaps, strict=True)
    ]
    memory, copied = _start_up_copies(program, costs, site)
    steps, copies = [], []
    for number, (step, cost, at) in enumerate(zip(program.steps, costs, gaps, strict=True)):
        if not cost:
            steps.append(step)
            continue
        best: Residence = "ram" if number in copied else min(cost, key=cost.__getitem__)
        shown = cost | ({"ram": copied[number]} if number in copied else {})
        offset = at if best == "arena" and at is not None else 0
        place = ConstantsPlace(best, shown, offset, memory if best == "ram" else "")
        steps.append(replace(step, implementation=replace(step.implementation, place=place)))
        if best == "arena":
            size = step.implementation.constants_bytes
            copies.append((Buffer(f"constants of {step.op.name}", size, number, number), offset))
    ends = (aligned(start + copy.size_bytes) for copy, start in copies)
    arena_bytes = max(program.plan.arena_bytes, *ends, 0)
    plan = replace(program.plan, arena_bytes=arena_bytes, buffers=(*program.plan.buffers, *copies))
    return replace(program, steps=tuple(steps), plan=plan)


def _start_up_copies(program: Program, costs: Sequence[dict[Residence, int]], site: Site) -> tuple[str, dict[int, int]]:
    """The memory in which copies gain the most, and what each step that has one costs there, by number."""
    best: tuple[int, str, dict[int, int]] = (0, "", {})
    sizes = [step.implementation.constants_bytes for step in program.steps]
    for room in site.copies:
        there = [
            round(_waits(step.implementation, site.reads.ram_cycles)) if room.behind_cache else 0
            for step in program.steps
        ]
        gains = [min(cost.values(), default=0) - waits for cost, waits in zip(costs, there, strict=True)]
        chosen = sorted(knapsack(sizes, gains, room.size_bytes))
        gain = sum(gains[number] for number in chosen)
        if gain > best[0]:
            best = (gain, room.memory, {number: there[number] for number in chosen})
    return best[1:]


def ram_constants_bytes(steps: Sequence[Step]) -> int:
    """Bytes of constants that start-up copies to RAM, those that steps share once."""
    copied = distinct_constants(step for step in steps if is_copied(step.implementation))
    return sum(aligned(constant.size_bytes) for constant in copied)


def copied_to(steps: Sequence[Step]) -> str | None:
    """The memory that start-up copies constants to; None where it copies none."""
    places = (step.implementation.place for step in steps)
    return next((place.memory for place in places if place is not None and place.memory), None)


def is_copied(implementation: Implementation) -> bool:
    """Whether a step reads its constants in RAM."""
    return implementation.place is not None and implementation.place.residence == "ram"


def waiting_cycles(implementation: Implementation, part: str) -> float:
    """Cycles that a step spends on getting its constants, where they are; 0 on chips that nothing is known of."""
    reads = flash_reads_of(part)
    if reads is None:
        return 0.0
    if implementation.place is not None:
        return implementation.place.cycles[implementation.place.residence]
    return _waits(implementation, reads.cycles)


def constants_cycles(implementation: Implementation, site: Site, *, in_arena: bool) -> dict[Residence, int]:
    """Cycles by place, but for copies that start-up makes; nothing for a step without constants."""
    if not implementation.constants:
        return {}
    costs: dict[Residence, int] = {"flash": round(_waits(implementation, site.reads.cycles))}
    if in_arena:
        there = _waits(implementation, site.reads.ram_cycles) if site.arena.behind_cache else 0.0
        costs["arena"] = round(site.reads.copy_cycles(implementation.constants_bytes) + there)
    return costs


def _waits(implementation: Implementation, cycles: Callable[[int, int], float]) -> float:
    """Cycles that a step waits for constants of which `cycles` says what so many bytes cost, read so often."""
    made = implementation.stripes
    if made is None:
        return cycles(implementation.constants_bytes, implementation.sweeps)
    return sum(
        cycles(call.kernel.constants_bytes, call.kernel.sweeps * (phase.last - phase.first))
        for phase in made.phases
        for call in phase.calls
    )


def gap(plan: MemoryPlan, number: int, implementation: Implementation, site: Site) -> int | None:
    """Where in the arena a copy of a step's constants has room while that step runs: in the smallest gap that will do,
    else at its end, which may move up a little. A chain goes on while rows arrive, and has none."""
    size = implementation.constants_bytes
    if not size or implementation.stripes is not None:
        return None
    taken = sorted((start, start + b.size_bytes) for b, start in plan.buffers if b.first <= number <= b.last)
    gaps, end = [], 0
    for start, stop in [*taken, (plan.arena_bytes, plan.arena_bytes)]:
        if start - end >= size:
            gaps.append((start - end, end))
        end = max(end, aligned(stop))
    if gaps:
        return min(gaps)[1]
    last = max((aligned(stop) for _, stop in taken), default=0)
    return last if last + size <= site.arena.size_bytes else None


def knapsack(sizes: Sequence[int], gains: Sequence[int], room_bytes: int) -> frozenset[int]:
    """The items (by number) of the greatest gain that fit `room_bytes` together; those without gain stay out.

    Exact but for the rounding of sizes to a few thousandths of the room, and the same for the same numbers.
    """
    items = [number for number, gain in enumerate(gains) if gain > 0 and sizes[number] <= room_bytes]
    if sum(sizes[number] for number in items) <= room_bytes:
        return frozenset(items)
    part = max(1, -(-room_bytes // _PARTS))
    room = room_bytes // part
    best: list[tuple[int, tuple[int, ...]]] = [(0, ())] * (room + 1)
    for number in items:
        size = -(-sizes[number] // part)
        for filled in range(room, size - 1, -1):
            gain, chosen = best[filled - size]
            if gain + gains[number] > best[filled][0]:
                best[filled] = (gain + gains[number], (*chosen, number))
    return frozenset(best[room][1])
