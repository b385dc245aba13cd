"""A chain's stripes as kernel calls: kernels cut to a stripe's rows, where each reads and writes, and what slides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tinydeploy.graph import Graph, Tensor
from tinydeploy.kernels.base import Constant, Implementation, Overlap, aligned
from tinydeploy.ops.base import Op
from tinydeploy.ops.row_chain import RowChain
from tinydeploy.stripes import Part, Stripe, cut, line_rows, line_tensors, overlap_gap_bytes, stripes


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes of a tensor: from its start, or of its line buffer; `offset_bytes` in stripe 0, then more with each."""

    tensor: int
    offset_bytes: int
    stripe_bytes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One kernel call of a stripe: operator number `op` of the chain."""

    op: int
    kernel: Implementation
    inputs: tuple[Place, ...]
    output: Place


@dataclass(frozen=True, slots=True)
class Slide:
    """Afterwards the rows that stay move to the start of their line buffer."""

    tensor: int
    from_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """Stripes [first, last), which differ in their places only. Of a streamed input, a stripe begins with
    `wanted_rows` rows in the line buffer and leaves `kept_rows`."""

    first: int
    last: int
    calls: tuple[Call, ...]
    slides: tuple[Slide, ...]
    wanted_rows: int
    kept_rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Stripes:
    """A chain, ready to be written as C: `lines` are the offsets of the line buffers in the step's scratch, those of
    the kernels' own scratch follow from `scratch_offset`."""

    count: int
    phases: tuple[Phase, ...]
    lines: Mapping[int, int]
    scratch_offset: int
    streamed: bool

    @property
    def kernels(self) -> tuple[Implementation, ...]:
        """Every kernel in order of first use, each once."""
        found: dict[tuple[object, ...], Implementation] = {}
        for phase in self.phases:
            for call in phase.calls:
                found.setdefault(call.kernel.key, call.kernel)
        return tuple(found.values())


def line_bytes(chain: RowChain, graph: Graph, cuts: Sequence[Stripe]) -> dict[int, int]:
    """The size of each line buffer, by the chain's stripes."""
    inside = chain.inside(graph)
    return {t: rows * _row_bytes(inside.tensors[t]) for t, rows in line_rows(chain, cuts).items()}


def permitted_overlap(chain: RowChain, graph: Graph, cuts: Sequence[Stripe]) -> Overlap | None:
    """Where the output may lie over the input; None for a streamed input, which is not there."""
    return None if chain.streamed else Overlap(overlap_gap_bytes(chain, graph, cuts))


def implement(chain: RowChain, graph: Graph, select: Callable[[Op, Graph], Implementation]) -> Implementation:
    """`chain` with a kernel from `select` for every part of a stripe; equal parts share one."""
    inside = chain.inside(graph)
    chosen: dict[tuple[int, Part], Implementation] = {}

    def kernel(number: int, part: Part) -> Implementation:
        like = Part(0, part.last - part.first, 0, part.input_last - part.input_first, part.pad)
        if (number, like) not in chosen:
            chosen[number, like] = select(*_alone(chain.ops[number], inside, like))
        return chosen[number, like]

    lines = line_tensors(chain)
    cuts = stripes(chain, graph)
    phases: list[Phase] = []
    for number, stripe in enumerate(cuts):
        calls = tuple(
            Call(at, kernel(at, part), *_places(op, part, stripe, inside, lines))
            for at, (op, part) in enumerate(zip(chain.ops, stripe.parts, strict=True))
            if part is not None
        )
        phase = _phase(number, stripe, calls, chain, inside)
        joined = _join(phases[-1], phase) if phases else None
        if joined is None:
            phases.append(phase)
        else:
            phases[-1] = joined
    offsets, end = {}, 0
    for tensor, size in line_bytes(chain, graph, cuts).items():
        offsets[tensor] = end
        end += aligned(size)
    # Offsets count from stripe 0, also in the phases that begin later.
    done = Stripes(len(cuts), tuple(_from_zero(phase) for phase in phases), offsets, end, chain.streamed)
    return Implementation(
        "",
        "",
        {},
        _constants(done),
        scratch_bytes=end + max(k.scratch_bytes for k in done.kernels),
        overlap=permitted_overlap(chain, graph, cuts),
        stripes=done,
    )


def _constants(made: Stripes) -> tuple[Constant, ...]:
    """Every kernel's constants, those that two parts of one operator share once."""
    found: dict[tuple[int, str, bytes], Constant] = {}
    for phase in made.phases:
        for call in phase.calls:
            for constant in call.kernel.constants:
                found.setdefault((call.op, constant.suffix, constant.values.tobytes()), constant)
    return tuple(found.values())


def _alone(op: Op, inside: Graph, part: Part) -> tuple[Op, Graph]:
    """`op` cut to `part`, and a graph in which its tensors have the part's heights."""

    def height(tensor: Tensor, rows: int) -> Tensor:
        return replace(tensor, shape=(tensor.shape[0], rows, *tensor.shape[2:]))

    tensors = {t: height(inside.tensors[t], part.input_last - part.input_first) for t in op.inputs}
    tensors[op.output] = height(inside.tensors[op.output], part.last - part.first)
    alone = cut(op, part)
    return alone, replace(inside, tensors=tensors, ops=(alone,), input=op.inputs[0], output=op.output)


def _row_bytes(tensor: Tensor) -> int:
    return tensor.size_bytes // tensor.shape[1]


def _places(
    op: Op, part: Part, stripe: Stripe, inside: Graph, lines: tuple[int, ...]
) -> tuple[tuple[Place, ...], Place]:
    def at(tensor: int, row: int) -> Place:
        above = stripe.held[tensor].first if tensor in lines else 0
        return Place(tensor, (row - above) * _row_bytes(inside.tensors[tensor]))

    return tuple(at(t, part.input_first) for t in op.inputs), at(op.output, part.first)


def _phase(number: int, stripe: Stripe, calls: tuple[Call, ...], chain: RowChain, inside: Graph) -> Phase:
    slides = []
    for tensor, held in stripe.held.items():
        kept = held.last - held.next_first
        if kept and held.next_first > held.first:
            row = _row_bytes(inside.tensors[tensor])
            slides.append(Slide(tensor, (held.next_first - held.first) * row, kept * row))
    source = stripe.held[chain.inputs[0]] if chain.streamed else None
    wanted, kept = (source.last - source.first, source.last - source.next_first) if source else (0, 0)
    return Phase(number, number + 1, calls, tuple(slides), wanted, kept)


def _join(phase: Phase, stripe: Phase) -> Phase | None:
    """`phase` with one more stripe, or None where that differs in more than its places in whole tensors."""
    alike = (
        len(phase.calls) == len(stripe.calls)
        and all(a.op == b.op and a.kernel is b.kernel for a, b in zip(phase.calls, stripe.calls, strict=True))
        and (phase.slides, phase.wanted_rows, phase.kept_rows) == (stripe.slides, stripe.wanted_rows, stripe.kept_rows)
    )
    if not alike:
        return None
    count, calls = phase.last - phase.first, []
    for a, b in zip(phase.calls, stripe.calls, strict=True):
        places = []
        for old, new in zip((*a.inputs, a.output), (*b.inputs, b.output), strict=True):
            step = new.offset_bytes - old.offset_bytes
            if count > 1 and step != count * old.stripe_bytes:
                return None
            places.append(replace(old, stripe_bytes=step // count))
        calls.append(replace(a, inputs=tuple(places[:-1]), output=places[-1]))
    return replace(phase, last=stripe.last, calls=tuple(calls))


def _from_zero(phase: Phase) -> Phase:
    def shift(place: Place) -> Place:
        return replace(place, offset_bytes=place.offset_bytes - phase.first * place.stripe_bytes)

    calls = (replace(c, inputs=tuple(shift(p) for p in c.inputs), output=shift(c.output)) for c in phase.calls)
    return replace(phase, calls=tuple(calls))
