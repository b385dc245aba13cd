"""Concatenations that cost nothing: each part is written where the joined tensor has it.

The operators that make the parts skip the other parts' channels from pixel to pixel. That needs kernels that can
(`kernels.pitched`), and parts that nobody else reads: whoever reads one finds its pixels side by side otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Implementation
from tinydeploy.kernels.pitched import pitched
from tinydeploy.ops.gather import ChannelGather

Kernels = dict[int, Implementation]
"""By the place of their operators in the graph."""


def join_in_place(graph: Graph, kernels: Kernels) -> tuple[Graph, Kernels]:
    """`graph` with its concatenations marked as placed where that can be, and kernels that write the parts there."""
    ops, chosen = list(graph.ops), dict(kernels)
    makers = {op.output: at for at, op in enumerate(graph.ops)}
    inside: set[int] = set()
    for at, op in enumerate(graph.ops):
        if not isinstance(op, ChannelGather) or op.output in inside:
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
