"""Where each step reads its constants on one board, by predicted cycles: in flash, or in a copy that is worth it.

A copy in the arena costs hardly any RAM: it lies where nothing else stands during its step, and is made anew in every
inference, which pays where a kernel goes over its weights often. Only where no such place is left may the arena grow a
little. A copy in RAM that start-up makes costs its bytes for good: ``--optimize speed`` alone makes such, of those
constants that save the most cycles within the board's room.

Only chips whose flash is known have a choice (``flash_reads``); on all others constants stay where the board wants
them. docs/CHOICES.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinydeploy.boards import Board
from tinydeploy.compiler import Program
from tinydeploy.flash_reads import FlashReads, flash_reads_of
from tinydeploy.kernels.base import ConstantsPlace, Implementation, Residence, aligned
from tinydeploy.optimize import Optimize
from tinydeploy.placement import room_beside
from tinydeploy.plan import Buffer, MemoryPlan, Step

# By how much of its size the arena may grow for copies; the image at its peak has weights of a few hundred bytes.
_GROWTH: dict[Optimize, float] = {"speed": 1 / 32, "balanced": 1 / 32, "ram": 0.0}
# The knapsack counts RAM in so many parts of what there is, or in single bytes' alignment where that is more.
_PARTS = 4096


@dataclass(frozen=True, slots=True)
class Choice:
    """Where one step's constants are, and what each place that was open would cost an inference, in cycles."""

    step: int
    name: str
    size_bytes: int
    residence: Residence
    cycles: dict[Residence, int]


def choices(program: Program) -> tuple[Choice, ...]:
    """What `place_constants` has chosen, step by step; nothing where it had no choice."""
    return tuple(
        Choice(number, step.op.name, step.implementation.constants_bytes, place.residence, dict(place.cycles))
        for number, step in enumerate(program.steps)
        if (place := step.implementation.place) is not None
    )


def place_constants(program: Program, board: Board, optimize: Optimize) -> Program:
    """`program` with a place for the constants of every step that has any, and their copies in its plan."""
    reads = flash_reads_of(board.part)
    if reads is None or board.weights[0].kind != "flash" or optimize == "flash":
        return program
    end = int(program.plan.arena_bytes * (1 + _GROWTH[optimize]))
    gaps = [_gap(program.plan, number, step.implementation, end) for number, step in enumerate(program.steps)]
    costs = [
        _costs(step.implementation, reads, in_arena=gap is not None)
        for step, gap in zip(program.steps, gaps, strict=True)
    ]
    in_ram: frozenset[int] = frozenset()
    if optimize == "speed":
        _, room_bytes = room_beside(board, program.plan.arena_bytes, _constants_bytes(program.steps))
        sizes = [step.implementation.constants_bytes for step in program.steps]
        in_ram = knapsack(sizes, [round(min(cost.values(), default=0)) for cost in costs], room_bytes)
    steps, copies = [], []
    for number, (step, cost, gap) in enumerate(zip(program.steps, costs, gaps, strict=True)):
        if not cost:
            steps.append(step)
            continue
        shown = cost | ({"ram": 0} if optimize == "speed" else {})
        best: Residence = "ram" if number in in_ram else min(cost, key=cost.__getitem__)
        offset = gap if best == "arena" and gap is not None else 0
        place = ConstantsPlace(best, shown, offset)
        steps.append(replace(step, implementation=replace(step.implementation, place=place)))
        if best == "arena":
            size = step.implementation.constants_bytes
            copies.append((Buffer(f"constants of {step.op.name}", size, number, number), offset))
    arena_bytes = max(program.plan.arena_bytes, *(aligned(start + copy.size_bytes) for copy, start in copies), 0)
    plan = replace(program.plan, arena_bytes=arena_bytes, buffers=(*program.plan.buffers, *copies))
    return replace(program, steps=tuple(steps), plan=plan)


def ram_constants_bytes(steps: Sequence[Step]) -> int:
    """Bytes of constants that start-up copies to RAM, those that steps share once."""
    return _constants_bytes([step for step in steps if is_copied(step.implementation)])


def is_copied(implementation: Implementation) -> bool:
    """Whether a step reads its constants in RAM."""
    return implementation.place is not None and implementation.place.residence == "ram"


def _constants_bytes(steps: Sequence[Step]) -> int:
    arrays = {
        (constant.ctype, constant.values.tobytes()): aligned(constant.size_bytes)
        for step in steps
        for constant in step.implementation.constants
    }
    return sum(arrays.values())


def waiting_cycles(implementation: Implementation, part: str) -> float:
    """Cycles that a step spends on getting its constants, where they are; 0 on chips that nothing is known of."""
    reads = flash_reads_of(part)
    if reads is None:
        return 0.0
    if implementation.place is not None:
        return implementation.place.cycles[implementation.place.residence]
    return _waits(implementation, reads)


def _costs(implementation: Implementation, reads: FlashReads, *, in_arena: bool) -> dict[Residence, int]:
    """Cycles by place, without RAM, whose constants cost nothing; nothing for a step without constants."""
    if not implementation.constants:
        return {}
    costs: dict[Residence, int] = {"flash": round(_waits(implementation, reads))}
    if in_arena:
        costs["arena"] = round(reads.copy_cycles(implementation.constants_bytes))
    return costs


def _waits(implementation: Implementation, reads: FlashReads) -> float:
    """Cycles that a step waits for constants in flash."""
    made = implementation.stripes
    if made is None:
        return reads.cycles(implementation.constants_bytes, implementation.sweeps)
    return sum(
        reads.cycles(call.kernel.constants_bytes, call.kernel.sweeps * (phase.last - phase.first))
        for phase in made.phases
        for call in phase.calls
    )


def _gap(plan: MemoryPlan, number: int, implementation: Implementation, end_bytes: int) -> int | None:
    """Where in the arena a copy of a step's constants has room while that step runs: in the smallest gap that will do,
    else at its end, up to `end_bytes`. A chain goes on while rows arrive, and has none."""
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
    return last if last + size <= end_bytes else None


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
