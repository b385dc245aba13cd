"""Concatenations and splits that cost nothing: each part stands where the wider tensor has it.

The operators that make the parts of a concatenation, and those that read a part of a split, skip the other parts'
channels from pixel to pixel. That needs kernels that can (`kernels.pitched`). Whoever else reads a part of a
concatenation would find its pixels side by side, so there must be nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Implementation
from tinydeploy.kernels.pitched import pitched, viewing
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.optimize import Optimize
from tinydeploy.plan import Step, plan_memory

Kernels = dict[int, Implementation]
"""By the place of their operators in the graph."""


def join_in_place(graph: Graph, kernels: Kernels, optimize: Optimize) -> tuple[Graph, Kernels]:
    """`graph` with its concatenations and splits marked as placed where that can be, and kernels that write or read the
    parts there.

    The wider tensor stands whole from its first part on and until its last, which may make the arena larger than a copy
    does: that is taken for speed, and else only as long as the arena does not grow.
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
    """Those concatenations and splits placed that can be and whose output is `wanted`."""
    ops, chosen = list(graph.ops), dict(kernels)
    makers = {op.output: at for at, op in enumerate(graph.ops)}
    # Parts of others; a part of a part would have two distances from pixel to pixel.
    inside: set[int] = set()
    for at, op in enumerate(graph.ops):
        if not isinstance(op, ChannelGather) or op.output in inside or op.output not in wanted:
            continue
        if op.is_split:
            parts, found = {op.output}, None if op.inputs[0] in inside else _readers(op, graph, chosen)
        else:
            parts, found = set(op.inputs), _writers(op, graph, makers, chosen)
        if found is not None and not parts & inside:
            ops[at] = replace(op, placed=True)
            del chosen[at]
            chosen |= found
            inside |= parts
    return replace(graph, ops=tuple(ops)), chosen


def _writers(op: ChannelGather, graph: Graph, makers: Mapping[int, int], kernels: Kernels) -> Kernels | None:
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


def _readers(op: ChannelGather, graph: Graph, kernels: Kernels) -> Kernels | None:
    """The kernels that read the output of a split from its input; None where one of them cannot."""
    source = graph.tensors[op.inputs[0]]
    if op.output == graph.output or graph.tensors[op.output].size_bytes != graph.tensors[op.output].elements:
        return None
    found: dict[int, Implementation] = {}
    for at, reader in enumerate(graph.ops):
        if op.output not in reader.inputs:
            continue
        inputs = tuple(number for number, tensor in enumerate(reader.inputs) if tensor == op.output)
        kernel = viewing(kernels[at], inputs, source.shape[-1]) if at in kernels else None
        if kernel is None:
            return None
        found[at] = kernel
    return found
