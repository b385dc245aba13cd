"""Where every activation and scratch buffer lies in the arena: lifetimes first, then the smallest arrangement found."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinydeploy.graph import Graph
from tinydeploy.kernels.base import ALIGNMENT, Implementation, Overlap, aligned
from tinydeploy.ops.base import Op
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.ops.reshape import Reshape
from tinydeploy.ops.row_chain import RowChain

# Orders in which first fit is tried.
_ORDERS = 205


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """Bytes that stand from step `first` to step `last`, both included; `tensors` are the values that live there. Each
    is itself alone, however alike: a plan looks them up millions of times."""

    name: str
    size_bytes: int
    first: int
    last: int
    tensors: tuple[int, ...] = ()

    def overlaps(self, other: Buffer) -> bool:
        """Whether both must stand at the same time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel call of the compiled model."""

    op: Op
    implementation: Implementation


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Offsets into the arena: of every tensor, and of each step's scratch by step number. `pitches` are the bytes from
    pixel to pixel of tensors that are parts of a wider one."""

    arena_bytes: int
    buffers: tuple[tuple[Buffer, int], ...]
    tensors: Mapping[int, int]
    scratch: Mapping[int, int]
    pitches: Mapping[int, int]


def plan_memory(graph: Graph, steps: Sequence[Step], *, orders: int = _ORDERS) -> MemoryPlan:
    """Place all buffers of `steps` so that those alive together never overlap, in as small an arena as is found in
    `orders` tries."""
    buffers = lifetimes(graph, steps)
    placed = arrange(buffers, overlaps(steps, buffers), orders)
    parts = list(_parts(graph))
    within = {part: first for part, _, first, _ in parts}
    tensors = {tensor: offset + within.get(tensor, 0) for buffer, offset in placed for tensor in buffer.tensors}
    scratch = {buffer.first: offset for buffer, offset in placed if not buffer.tensors}
    arena = max(offset + buffer.size_bytes for buffer, offset in placed)
    pitches = {part: pitch for part, _, _, pitch in parts}
    return MemoryPlan(aligned(arena), tuple(placed), tensors, scratch, pitches)


def _parts(graph: Graph) -> Iterator[tuple[int, int, int, int]]:
    """Every tensor that is a part of another: the two, its first byte in a pixel, a pixel's bytes."""
    for op in graph.ops:
        if not isinstance(op, ChannelGather) or not op.placed:
            continue
        if op.is_split:
            yield op.output, op.inputs[0], op.runs[0].first, graph.tensors[op.inputs[0]].shape[-1]
        else:
            ends = [run.count for run in op.runs]
            for at, tensor in enumerate(op.inputs):
                yield tensor, op.output, sum(ends[:at]), sum(ends)


def streamed_input(steps: Sequence[Step]) -> int | None:
    """The model's input where it arrives row by row and never stands in full, else None."""
    first = steps[0].op if steps else None
    return first.inputs[0] if isinstance(first, RowChain) and first.streamed else None


def lifetimes(graph: Graph, steps: Sequence[Step]) -> list[Buffer]:
    """The buffers of a model. A RESHAPE's output is its input's buffer; so is an in-place step's whose input dies.
    Parts of a concatenation that is placed are in its output's buffer, of a split in its input's.

    The model's input is written before step 0 and its output is read after the last step. A streamed input has no
    buffer.
    """
    absent = streamed_input(steps)
    root = {tensor: tensor for tensor in graph.tensors if tensor != absent}

    def find(tensor: int) -> int:
        while root[tensor] != tensor:
            tensor = root[tensor]
        return tensor

    for op in graph.ops:
        if isinstance(op, Reshape):
            root[op.output] = find(op.inputs[0])
    root |= {part: find(whole) for part, whole, _, _ in _parts(graph)}
    first: dict[int, int] = {} if absent is not None else {find(graph.input): 0}
    last: dict[int, int] = {}
    for number, step in enumerate(steps):
        first.setdefault(find(step.op.output), number)
        for tensor in step.op.inputs:
            if tensor != absent:
                last[find(tensor)] = number
    last[find(graph.output)] = len(steps) - 1

    for number, step in enumerate(steps):
        if not step.implementation.in_place:
            continue
        out = find(step.op.output)
        for tensor in step.op.inputs:
            source = find(tensor)
            dies = last[source] == number and source != out
            if dies and graph.tensors[source].size_bytes == graph.tensors[out].size_bytes:
                root[out] = source
                last[source] = last.get(out, number)
                break
    members: dict[int, list[int]] = {}
    for tensor in root:
        members.setdefault(find(tensor), []).append(tensor)
    result = [
        Buffer(
            graph.tensors[source].name,
            max(graph.tensors[tensor].size_bytes for tensor in tensors),
            first[source],
            last.get(source, first[source]),
            tuple(tensors),
        )
        for source, tensors in members.items()
    ]
    for number, step in enumerate(steps):
        if step.implementation.scratch_bytes:
            size = step.implementation.scratch_bytes
            result.append(Buffer(f"scratch of {step.op.name}", size, number, number))
    return result


def overlaps(steps: Sequence[Step], buffers: Sequence[Buffer]) -> dict[tuple[Buffer, Buffer], Overlap]:
    """The pairs (output, input) that may share memory: the output begins at the step whose input ends there."""
    home = {tensor: buffer for buffer in buffers for tensor in buffer.tensors}
    found: dict[tuple[Buffer, Buffer], Overlap] = {}
    for number, step in enumerate(steps):
        source, output = home.get(step.op.inputs[0]), home[step.op.output]
        permitted = step.implementation.overlap
        if permitted is not None and source is not None and source != output and source.last == number == output.first:
            found[output, source] = permitted
    return found


def arrange(
    buffers: Sequence[Buffer],
    permitted: Mapping[tuple[Buffer, Buffer], Overlap] | None = None,
    tries: int = _ORDERS,
) -> list[tuple[Buffer, int]]:
    """Offsets for `buffers`: first fit in several orders (size, lifetime, area, seeded shuffles), the smallest kept.

    No order can do better than the largest sum of buffers alive at one step, so the search stops there. A chain, where
    two buffers that come and go stand at a time, always reaches it when it is filled from both ends.
    """
    permitted = permitted or {}
    floor = max((_least_bytes(buffers, permitted, t) for t in _steps(buffers)), default=0)
    rivals = _rivals(buffers)
    orders: list[Callable[[Buffer], tuple[float, ...]]] = [
        lambda b: (-b.size_bytes, b.first),
        lambda b: (-(b.last - b.first + 1) * b.size_bytes, b.first),
        lambda b: (-(b.last - b.first), -b.size_bytes),
        lambda b: (b.first, -b.size_bytes),
        lambda b: (-b.last, -b.size_bytes),
    ]
    generator = random.Random(0)
    orders += [lambda b, g=generator: (-b.size_bytes * (0.5 + g.random()),) for _ in range(_ORDERS - 5)]  # type: ignore[misc]
    best: list[tuple[Buffer, int]] = []
    best_size = -1
    for order in orders[:tries]:
        placed = _first_fit(sorted(buffers, key=order), rivals, permitted)
        size = max((offset + buffer.size_bytes for buffer, offset in placed), default=0)
        if best_size < 0 or size < best_size:
            best, best_size = placed, size
        if best_size <= aligned(floor):
            return best
    both_ends = _from_both_ends(buffers)
    if both_ends and max(offset + buffer.size_bytes for buffer, offset in both_ends) < best_size:
        return both_ends
    return best


def _steps(buffers: Sequence[Buffer]) -> range:
    return range(max((b.last for b in buffers), default=-1) + 1)


def _least_bytes(buffers: Sequence[Buffer], permitted: Mapping[tuple[Buffer, Buffer], Overlap], step: int) -> int:
    """What the buffers alive at a step take at least: all of them, less what permitted pairs may share."""
    alive = [buffer for buffer in buffers if buffer.first <= step <= buffer.last]
    shared = sum(min(a.size_bytes, b.size_bytes) for a, b in permitted if a.first == step)
    return max(sum(b.size_bytes for b in alive) - shared, max((b.size_bytes for b in alive), default=0))


def _rivals(buffers: Sequence[Buffer]) -> dict[Buffer, list[Buffer]]:
    """The others that stand at some step where a buffer does."""
    found: dict[Buffer, list[Buffer]] = {buffer: [] for buffer in buffers}
    alive: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: b.first):
        alive = [other for other in alive if other.last >= buffer.first]
        for other in alive:
            found[buffer].append(other)
            found[other].append(buffer)
        alive.append(buffer)
    return found


def _first_fit(
    buffers: Sequence[Buffer],
    rivals_of: Mapping[Buffer, Sequence[Buffer]],
    permitted: Mapping[tuple[Buffer, Buffer], Overlap],
) -> list[tuple[Buffer, int]]:
    """Each buffer at the first place that those before it leave; `rivals_of` are the buffers alive with each."""
    placed: dict[Buffer, int] = {}
    for buffer in buffers:
        rivals = [(other, placed[other]) for other in rivals_of[buffer] if other in placed]
        candidates = {0, *(aligned(start + other.size_bytes) for other, start in rivals)}
        for other, start in rivals:
            if (rule := permitted.get((buffer, other))) is not None:
                candidates.add(_partner(start, rule, of_input=True))
            elif (rule := permitted.get((other, buffer))) is not None:
                candidates.add(_partner(start, rule, of_input=False))
        fits = (
            at for at in sorted(candidates) if at >= 0 and all(_compatible(buffer, at, *r, permitted) for r in rivals)
        )
        placed[buffer] = next(fits)
    return list(placed.items())


def _compatible(
    buffer: Buffer, at: int, other: Buffer, start: int, permitted: Mapping[tuple[Buffer, Buffer], Overlap]
) -> bool:
    """Whether `buffer` may lie at `at` while `other` lies at `start`."""
    if at + buffer.size_bytes <= start or start + other.size_bytes <= at:
        return True
    if (rule := permitted.get((buffer, other))) is not None:
        return rule.permits(start, at)
    if (rule := permitted.get((other, buffer))) is not None:
        return rule.permits(at, start)
    return False


def _partner(start: int, rule: Overlap, *, of_input: bool) -> int:
    """The place nearest to `start` for the other buffer of a permitted pair; it may be negative."""
    step = math.lcm(rule.multiple, ALIGNMENT)
    gap = -(-rule.gap_bytes // step) * step
    upwards = rule.descending == of_input
    return start + gap if upwards else start - gap


def _from_both_ends(buffers: Sequence[Buffer]) -> list[tuple[Buffer, int]] | None:
    """Every second buffer low, the others high, in just the space that is alive at the worst step; None if one does not
    fit."""
    capacity = max(
        (sum(aligned(b.size_bytes) for b in buffers if b.first <= t <= b.last) for t in _steps(buffers)), default=0
    )
    placed: list[tuple[Buffer, int]] = []
    for number, buffer in enumerate(sorted(buffers, key=lambda b: (b.first, -b.last))):
        size = aligned(buffer.size_bytes)
        taken = sorted((start, start + aligned(b.size_bytes)) for b, start in placed if b.overlaps(buffer))
        ends = [0, *(end for _, end in taken)]
        gaps = [(low, high) for low, high in zip(ends, [*(start for start, _ in taken), capacity], strict=True)]
        fits = [(low, high) for low, high in gaps if high - low >= size]
        if not fits:
            return None
        placed.append((buffer, fits[0][0] if number % 2 == 0 else fits[-1][1] - size))
    return placed
