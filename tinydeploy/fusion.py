"""Which operators run as chains of row stripes: those whose full tensors make the arena as large as it is.

Arenas are estimated from line buffers and the operators' own scratch, without choosing kernels for the stripes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tinydeploy.errors import UsageError
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Implementation, aligned
from tinydeploy.kernels.striped import line_bytes, permitted_overlap
from tinydeploy.ops.base import Op
from tinydeploy.ops.reshape import Reshape
from tinydeploy.ops.row_chain import RowChain, join, replace_by_chain
from tinydeploy.plan import Step, plan_memory
from tinydeploy.stripes import reach, stripes

# Operators in a chain at most, and rows of its output per stripe: more rows cost more memory than they save time.
_LONGEST = 8
_ROWS = 1
# Arrangements tried for an estimate.
_ORDERS = 5
# Sets of chains that are followed side by side.
_BEAM = 3
# Additions in a row that may leave the arena as it is. Where no chain at its peak makes it smaller, others hardly ever
# do: of eleven networks one would be 0.4 % smaller, for seven times the time.
_PATIENCE = 2
# Share of the arena that an operator must hold to be looked at.
_WORTH = 0.4

# First and last number, among the graph's operators, of each chain.
Chains = frozenset[tuple[int, int]]


def fuse(graph: Graph, kernels: Mapping[int, Implementation], *, stream_input: bool, shrink: bool) -> Graph:
    """`graph` with chains in it: one that takes the input row by row with `stream_input`, with `shrink` all that make
    the arena smaller. `kernels` are the operators' implementations by their place in `graph.ops`, for their scratch and
    overlaps. UsageError where the input cannot be streamed."""
    search = _Search(graph, kernels, stream_input)
    start: Chains = frozenset({streaming_chain(graph)}) if stream_input else frozenset()
    return search.joined(search.smallest(start) if shrink else start)


def streaming_chain(graph: Graph) -> tuple[int, int]:
    """The shortest chain that can take the input row by row: it holds all that read it. UsageError where none can."""
    readers = {at for at, op in enumerate(graph.ops) if graph.input in op.inputs}
    ends = [(0, 0), *chain_candidates(graph)] if _rows_alone(graph, 0) else []
    fitting = [(first, last) for first, last in ends if first == 0 and max(readers) <= last]
    if not fitting:
        raise UsageError(
            f"{graph.name} reads its input with {graph.ops[max(readers)].name} ({graph.ops[max(readers)].kind}), which "
            "cannot take it row by row; leave away --stream-input"
        )
    return min(fitting)


class _Search:
    """A beam search over sets of chains, smallest arena first; fewer and shorter chains among equals."""

    def __init__(self, graph: Graph, kernels: Mapping[int, Implementation], stream_input: bool) -> None:
        self._graph = graph
        self._kernels = kernels
        self._streamed = stream_input
        self._places = {op.output: at for at, op in enumerate(graph.ops)}
        self._chains: dict[tuple[int, int], tuple[RowChain, Implementation]] = {}
        self._sizes: dict[Chains, int] = {}

    def smallest(self, start: Chains) -> Chains:
        """The best set of chains that additions to `start`, one at a time, lead to."""
        # A chain whose operators all hold little cannot change what the arena is large for.
        least = self._arena_bytes(start) * _WORTH
        candidates = [
            (first, last)
            for first, last in chain_candidates(self._graph)
            if max(_held_bytes(self._graph, op) for op in self._graph.ops[first : last + 1]) >= least
        ]
        best, beam, in_vain = start, [start], 0
        while beam and in_vain <= _PATIENCE:
            grown = {more for chains in beam for ends in candidates if (more := _with(chains, ends)) is not None}
            beam = sorted(grown - self._sizes.keys(), key=self._rank)[:_BEAM]
            beam = [chains for chains in beam if self._rank(chains) < self._rank(start)]
            found = min([best, *beam], key=self._rank)
            in_vain = 0 if self._arena_bytes(found) < self._arena_bytes(best) else in_vain + 1
            best = found
        return best

    def joined(self, chains: Chains) -> Graph:
        """The graph with `chains` joined."""
        result = self._graph
        for ends in sorted(chains):
            result = replace_by_chain(result, self._chain(ends)[0])
        return result

    def _rank(self, chains: Chains) -> tuple[int, int, list[tuple[int, int]]]:
        return self._arena_bytes(chains), sum(last - first for first, last in chains), sorted(chains)

    def _arena_bytes(self, chains: Chains) -> int:
        """An estimate that is close: the scratch of a stripe's kernels is taken for that of the whole operators."""
        if chains not in self._sizes:
            joined = self.joined(chains)
            implementations = {self._graph.ops[last].output: self._chain((first, last))[1] for first, last in chains}
            steps = [
                Step(op, implementations.get(op.output) or self._kernels[self._places[op.output]])
                for op in joined.ops
                if not isinstance(op, Reshape)
            ]
            self._sizes[chains] = plan_memory(joined, steps, orders=_ORDERS).arena_bytes
        return self._sizes[chains]

    def _chain(self, ends: tuple[int, int]) -> tuple[RowChain, Implementation]:
        """The chain from operator `ends[0]` to `ends[1]`, and what it takes of the arena."""
        if ends not in self._chains:
            first, last = ends
            ops = self._graph.ops[first : last + 1]
            chain = join(self._graph, ops, _ROWS, streamed=self._streamed and first == 0)
            cuts = stripes(chain, self._graph)
            lines = sum(aligned(size) for size in line_bytes(chain, self._graph, cuts).values())
            scratch = max(self._kernels[at].scratch_bytes for at in range(first, last + 1))
            overlap = permitted_overlap(chain, self._graph, cuts)
            self._chains[ends] = chain, Implementation("", "", {}, scratch_bytes=lines + scratch, overlap=overlap)
        return self._chains[ends]


def _held_bytes(graph: Graph, op: Op) -> int:
    """What an operator's inputs and output take together."""
    return sum(graph.tensors[tensor].size_bytes for tensor in (*op.inputs, op.output))


def _with(chains: Chains, ends: tuple[int, int]) -> Chains | None:
    """`chains` with one more that may swallow whole others; None if it cuts one or is there."""
    first, last = ends
    apart = frozenset(c for c in chains if c[1] < first or c[0] > last)
    swallowed = chains - apart
    if ends in chains or not all(first <= c[0] and c[1] <= last for c in swallowed):
        return None
    return apart | {ends}


def chain_candidates(graph: Graph) -> Iterator[tuple[int, int]]:
    """Runs of operators that can be one chain: all work by rows, nothing in between is read elsewhere."""
    for first in range(len(graph.ops)):
        made: set[int] = set()
        for last in range(first, min(first + _LONGEST, len(graph.ops))):
            op = graph.ops[last]
            # A second branch may start inside the chain, from what the chain reads.
            known = made | set(graph.ops[first].inputs)
            if not _rows_alone(graph, last) or not known & set(op.inputs):
                break
            made.add(op.output)
            between = made - {op.output}
            read = {tensor for o in graph.ops[first : last + 1] for tensor in o.inputs}
            outside = {tensor for o in (*graph.ops[:first], *graph.ops[last + 1 :]) for tensor in o.inputs}
            if last > first and between <= read and not between & {*outside, graph.output}:
                yield first, last


def _rows_alone(graph: Graph, at: int) -> bool:
    """Whether operator `at` works by rows, more than one of them."""
    op: Op = graph.ops[at]
    return reach(op, graph) is not None and graph.tensors[op.output].shape[1] > 1
