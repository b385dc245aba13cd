"""Row stripes: in which order the rows of a chain's tensors are computed, and which of them must be kept.

Rows of the output are made a stripe at a time. Before it, every operator computes the rows that are missing for it and
no row twice; a tensor between two operators lives in a line buffer of the few rows that are still to be read, which
slides down when a stripe is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinydeploy.graph import Graph
from tinydeploy.ops.base import Op
from tinydeploy.ops.convolution import Convolution
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.ops.operands import BinaryOp
from tinydeploy.ops.pool import Pool2D
from tinydeploy.ops.quantize import Lookup
from tinydeploy.ops.row_chain import RowChain


@dataclass(frozen=True, slots=True)
class Reach:
    """Output row r is computed from the input rows stride * r - pad and the extent - 1 after it."""

    extent: int = 1
    stride: int = 1
    pad: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """An operator's share of a stripe: output rows [first, last) from the input rows [input_first, input_last), of
    which `pad` more would lie above the input."""

    first: int
    last: int
    input_first: int
    input_last: int
    pad: int


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor's rows [first, last) that stand in its line buffer during a stripe; from `next_first` on they are kept
    for the next one."""

    first: int
    last: int
    next_first: int


@dataclass(frozen=True, slots=True)
class Stripe:
    """What one stripe does: a part for each operator of the chain, None where it has nothing to do; and the rows held
    of each tensor that has a line buffer."""

    parts: tuple[Part | None, ...]
    held: dict[int, Held]


def reach(op: Op, graph: Graph) -> Reach | None:
    """How `op` reads rows, or None where it does not work row by row."""
    if any(len(graph.tensors[t].shape) != 4 for t in (*op.inputs, op.output)):
        return None
    if isinstance(op, Convolution | Pool2D):
        window = op.window
        return Reach((window.kernel[0] - 1) * window.dilation[0] + 1, window.stride[0], window.pad[0])
    if isinstance(op, Lookup | ChannelGather):
        return Reach()
    if isinstance(op, BinaryOp) and len({graph.tensors[t].shape for t in (*op.inputs, op.output)}) == 1:
        # A constant has one value, or one per channel or column, for all rows.
        return Reach() if all(side.tensor is not None or side.shape[1] == 1 for side in op.operands) else None
    return None


def cut(op: Op, part: Part) -> Op:
    """`op` as it stands alone for one part of a stripe."""
    if isinstance(op, Convolution | Pool2D):
        return replace(op, window=replace(op.window, pad=(part.pad, op.window.pad[1])))
    if not isinstance(op, BinaryOp):
        return op
    rows = part.last - part.first
    a, b = (
        side if side.tensor is None else replace(side, shape=(side.shape[0], rows, *side.shape[2:]))
        for side in op.operands
    )
    return replace(op, operands=(a, b))


def line_tensors(chain: RowChain) -> tuple[int, ...]:
    """The tensors that have a line buffer."""
    return (*chain.between, *chain.inputs[:1]) if chain.streamed else tuple(chain.between)


def stripes(chain: RowChain, graph: Graph) -> tuple[Stripe, ...]:
    """The stripes of `chain` in order."""
    inside = chain.inside(graph)
    heights = {t: inside.tensors[t].shape[1] for op in chain.ops for t in (*op.inputs, op.output)}
    reaches = []
    for op in chain.ops:
        found = reach(op, inside)
        assert found is not None
        reaches.append(found)
    count = -(-heights[chain.output] // chain.rows)
    # ends[n][t]: how many rows of tensor t are there once n stripes are done.
    ends = [dict.fromkeys(heights, 0)]
    for number in range(count):
        end = dict.fromkeys(heights, 0)
        end[chain.output] = min(heights[chain.output], (number + 1) * chain.rows)
        for op, r in zip(reversed(chain.ops), reversed(reaches), strict=True):
            for tensor in op.inputs:
                end[tensor] = max(end[tensor], _needed(r, end[op.output], heights[tensor]))
        ends.append(end)
    lines = line_tensors(chain)
    result = []
    for number in range(count):
        before, after = ends[number], ends[number + 1]
        parts: list[Part | None] = []
        for op, r in zip(chain.ops, reaches, strict=True):
            first, last = before[op.output], after[op.output]
            start = first * r.stride - r.pad
            bottom = _needed(r, last, heights[op.inputs[0]])
            parts.append(Part(first, last, max(0, start), bottom, max(0, -start)) if last > first else None)
        held = {
            tensor: Held(
                _first_needed(tensor, chain, reaches, before, ends[-1]),
                after[tensor],
                _first_needed(tensor, chain, reaches, after, ends[-1]),
            )
            for tensor in lines
        }
        result.append(Stripe(tuple(parts), held))
    return tuple(result)


def line_rows(chain: RowChain, cuts: Sequence[Stripe]) -> dict[int, int]:
    """The most rows that each line buffer holds at a time, by the chain's stripes."""
    return {
        tensor: max(stripe.held[tensor].last - stripe.held[tensor].first for stripe in cuts)
        for tensor in line_tensors(chain)
    }


def overlap_gap_bytes(chain: RowChain, graph: Graph, cuts: Sequence[Stripe]) -> int:
    """How many bytes before its dying first input the output must start at least, so that no row is overwritten that
    is still to be read by the chain's stripes. An operator of two operands at the chain's end may read an element where
    it writes it, but not after it: never less than 0 then. A gather there writes only after the rows that it reads."""
    source, output = graph.tensors[chain.inputs[0]], graph.tensors[chain.output]
    row_in, row_out = (t.size_bytes // t.shape[1] for t in (source, output))
    readers = [number for number, op in enumerate(chain.ops) if chain.inputs[0] in op.inputs]
    writer = len(chain.ops) - 1
    apart = isinstance(chain.ops[-1], ChannelGather)
    gap = 0 if isinstance(chain.ops[-1], BinaryOp) and chain.inputs[0] in chain.ops[-1].inputs else -source.size_bytes
    for number, stripe in enumerate(cuts if apart else cuts[:-1]):
        written = stripe.parts[writer]
        if written is None:
            continue
        needed = source.shape[1]
        for reader in readers:
            later = (cut.parts[reader] for cut in cuts[number + (not (apart and reader == writer)) :])
            needed = min(needed, next((part.input_first for part in later if part is not None), needed))
        gap = max(gap, written.last * row_out - needed * row_in)
    return gap


def _needed(r: Reach, rows: int, height: int) -> int:
    """How many rows of an input of `height` rows the first `rows` rows of an output need."""
    return min(height, (rows - 1) * r.stride - r.pad + r.extent) if rows else 0


def _first_needed(
    tensor: int, chain: RowChain, reaches: list[Reach], done: dict[int, int], final: dict[int, int]
) -> int:
    """The first row of `tensor` that is still to be read when the rows `done` are there; at most the first missing."""
    first = done[tensor]
    for op, r in zip(chain.ops, reaches, strict=True):
        if tensor in op.inputs and done[op.output] < final[op.output]:
            first = min(first, max(0, done[op.output] * r.stride - r.pad))
    return first
