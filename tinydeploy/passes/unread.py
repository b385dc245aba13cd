"""Remove operators whose output nobody reads."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.graph import Graph, verify


def remove_unread(graph: Graph) -> Graph:
    """The same model without operators and tensors that the output does not depend on. The input stays, read or not."""
    needed, kept = {graph.output}, []
    for op in reversed(graph.ops):
        if op.output in needed:
            needed |= set(op.inputs)
            kept.append(op)
    tensors = {index: graph.tensors[index] for index in graph.tensors if index in needed | {graph.input}}
    if len(kept) == len(graph.ops) and len(tensors) == len(graph.tensors):
        return graph
    return verify(replace(graph, tensors=tensors, ops=tuple(reversed(kept))))
