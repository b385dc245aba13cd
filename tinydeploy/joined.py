"""Concatenations that cost nothing: each part is written where the joined tensor has it.

The operators that make the parts skip the other parts' channels from pixel to pixel. That needs kernels that can
(`kernels.pitched`), and parts that nobody else reads: whoever reads one finds its pixels side by side otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Implementation
from tinydeploy.kernels.pitched import pitched
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.optimize import Optimize
from tinydeploy.plan import Step, plan_memory

Kernels = dict[int, Implementation]
"""By the place of their operators in the graph."""


def join_in_place(graph: Graph, kernels: Kernels, optimize: Optimize) -> tuple[Graph, Kernels]:
    """`graph` with its concatenations marked as placed where that can be, and kernels that write the parts there.

    A joined tensor stands whole from its first part on, which may make the arena larger than a copy does: that is taken
    for speed, and else only as long as the arena does not grow.
    """
    best = _joined(graph, kernels, {op.output for op in graph.ops})
    every = {op.output for op in best[0].ops if isinstance(op, ChannelGather) and op.placed}
    if optimize == "speed" or not every:
        return best
    least = _arena_bytes(graph, kernels)
    if _arena_bytes(*best) <= least:
        return best
    best, taken = (graph, kernels), set[int]()
    for output in sorted(every):
        tried = _joined(graph, kernels, taken | {output})
        if (size := _arena_bytes(*tried)) <= least:
            best, least, taken = tried, size, taken | {output}
    return best


def steps_of(graph: Graph, kernels: Kernels) -> tuple[Step, ...]:
    """What runs, in order."""
    return tuple(Step(graph.ops[at], kernels[at]) for at in sorted(kernels))


def _arena_bytes(graph: Graph, kernels: Kernels) -> int:
    return plan_memory(graph, steps_of(graph, kernels)).arena_bytes


def _joined(graph: Graph, kernels: Kernels, wanted: Set[int]) -> tuple[Graph, Kernels]:
    """Those concatenations placed that can be and whose output is `wanted`."""
    ops, chosen = list(graph.ops), dict(kernels)
    makers = {op.output: at for at, op in enumerate(graph.ops)}
    inside: set[int] = set()
    for at, op in enumerate(graph.ops):
        if not isinstance(op, ChannelGather) or op.output in inside or op.output not in wanted:
            continue
        parts = _parts(op, graph, makers, chosen)
        if parts is not None:
            ops[at] = replace(op, placed=True)
            del chosen[at]
            chosen |= parts
            inside |= set(op.inputs)
    return replace(graph, ops=tuple(ops)), chosen


def _parts(op: ChannelGather, graph: Graph, makers: Mapping[int, int], kernels: Kernels) -> Kernels | None:
    """The kernels that write the inputs of a concatenation into its output; None where one of them cannot."""
    if not op.is_concatenation(graph):
        return None
    found: dict[int, Implementation] = {}
    for tensor in op.inputs:
        maker = makers.get(tensor)
        # What a reshape or another concatenation makes is not written by a kernel of its own.
        if maker is None or maker not in kernels or len(graph.consumers(tensor)) > 1 or tensor == graph.output:
            return None
        kernel = pitched(kernels[maker], len(op.taken))
        if kernel is None:
            return None
        found[maker] = kernel
    return found
