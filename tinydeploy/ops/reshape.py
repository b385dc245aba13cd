"""RESHAPE, SQUEEZE and EXPAND_DIMS: the same bytes under another shape; the memory plan makes them free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tinydeploy.ops.base import Node, Op, Values

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class Reshape(Op):
    """A view of all elements in order; other operators that move nothing are read as one too."""

    kind: str = "RESHAPE"

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """The input's elements in order."""
        return values[self.inputs[0]].reshape(graph.tensors[self.output].shape)


def read(node: Node) -> Reshape:
    """Read and check one RESHAPE, SQUEEZE or EXPAND_DIMS; the output tensor's own shape is what counts."""
    node.arity(1, 1 if node.kind == "SQUEEZE" else 2)
    source, output = node.activation(0), node.output
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        node.constant(1)
    if source.dtype != output.dtype or source.elements != output.elements:
        node.fail(f"{source.shape} {source.dtype} does not reshape to {output.shape} {output.dtype}")
    if node.kind != "RESHAPE" and [n for n in source.shape if n > 1] != [n for n in output.shape if n > 1]:
        node.fail(f"{source.shape} and {output.shape} differ in more than dimensions of 1")
    return Reshape(node.name, node.index, (source.index,), output.index, node.kind)
