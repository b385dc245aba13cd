"""A compiled model's arena over time: which bytes hold what at each step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tinydeploy.compiler import Program
from tinydeploy.kernels.striped import line_bytes
from tinydeploy.ops.row_chain import RowChain
from tinydeploy.stripes import stripes

SpanKind = Literal["input", "activation", "output", "rows", "scratch"]


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes that hold one thing from step `first` to step `last`, both included.

    An "activation" is written by step `first` and last read by step `last`; the model's input is there before step 0,
    its output after the last step. "rows" are those of a tensor that never stands in full. "scratch" is the working
    memory of the step that it is named after.
    """

    name: str
    kind: SpanKind
    offset_bytes: int
    size_bytes: int
    first: int
    last: int

    @property
    def end_bytes(self) -> int:
        """The first byte after it."""
        return self.offset_bytes + self.size_bytes

    def alive(self, step: int) -> bool:
        """Whether it stands during `step`."""
        return self.first <= step <= self.last

    def shares_bytes(self, other: Span) -> bool:
        """Whether the two lie over one another."""
        return self.offset_bytes < other.end_bytes and other.offset_bytes < self.end_bytes


@dataclass(frozen=True, slots=True)
class ArenaStep:
    """One step and how many bytes of the arena something stands in while it runs."""

    index: int
    name: str
    op: str
    used_bytes: int


@dataclass(frozen=True, slots=True)
class ArenaMap:
    """All spans in the order in which they begin, all steps, and the step that uses the most."""

    arena_bytes: int
    peak_step: int
    steps: tuple[ArenaStep, ...]
    spans: tuple[Span, ...]


def map_arena(program: Program) -> ArenaMap:
    """The arena of `program`."""
    spans = tuple(sorted(_spans(program), key=lambda span: (span.first, span.kind != "input", span.offset_bytes)))
    steps = tuple(
        ArenaStep(number, step.op.name, _kind(step.op), _used_bytes(span for span in spans if span.alive(number)))
        for number, step in enumerate(program.steps)
    )
    peak = max(steps, key=lambda step: (step.used_bytes, -step.index), default=None)
    return ArenaMap(program.plan.arena_bytes, peak.index if peak else 0, steps, spans)


def _spans(program: Program) -> Iterator[Span]:
    for buffer, offset in program.plan.buffers:
        if not buffer.tensors:
            yield from _scratch(program, buffer.first, offset, buffer.size_bytes)
            continue
        kind: SpanKind = "activation"
        if program.graph.input in buffer.tensors:
            kind = "input"
        elif program.graph.output in buffer.tensors:
            kind = "output"
        yield Span(buffer.name, kind, offset, buffer.size_bytes, buffer.first, buffer.last)


def _scratch(program: Program, number: int, offset: int, size_bytes: int) -> Iterator[Span]:
    """A step's working memory: of a chain, its line buffers, and what the kernels take after them."""
    step = program.steps[number]
    made = step.implementation.stripes
    if made is None:
        yield Span(step.op.name, "scratch", offset, size_bytes, number, number)
        return
    assert isinstance(step.op, RowChain)
    tensors = step.op.inside(program.graph).tensors
    sizes = line_bytes(step.op, program.graph, stripes(step.op, program.graph))
    for tensor, at in made.lines.items():
        yield Span(tensors[tensor].name, "rows", offset + at, sizes[tensor], number, number)
    if size_bytes > made.scratch_offset:
        start = offset + made.scratch_offset
        yield Span(step.op.name, "scratch", start, size_bytes - made.scratch_offset, number, number)


def _kind(op: object) -> str:
    return " ".join(inner.kind for inner in op.ops) if isinstance(op, RowChain) else str(getattr(op, "kind", ""))


def _used_bytes(spans: Iterable[Span]) -> int:
    """Bytes under at least one of `spans`."""
    used = end = 0
    for span in sorted(spans, key=lambda span: span.offset_bytes):
        used += max(0, span.end_bytes - max(end, span.offset_bytes))
        end = max(end, span.end_bytes)
    return used
