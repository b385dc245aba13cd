"""CONCATENATION and PACK: blocks of each input in turn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.graph import Tensor
from tinydeploy.ops.base import NONE, Node, Op, Values
from tinydeploy.ops.reshape import Reshape

if TYPE_CHECKING:
    from tinydeploy.graph import Graph

# As many as TFLite Micro's CONCATENATION takes.
_MOST_INPUTS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Concatenation(Op):
    """The output is `outer` times: the next `parts[i]` elements of each input i."""

    outer: int
    parts: tuple[int, ...]
    kind: str = "CONCATENATION"

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's Concatenation, which moves elements as they are."""
        blocks = [values[tensor].reshape(self.outer, -1) for tensor in self.inputs]
        return np.concatenate(blocks, axis=1).reshape(graph.tensors[self.output].shape)


def read_concatenation(node: Node) -> Op:
    """Read and check one CONCATENATION."""
    node.arity(1, _MOST_INPUTS)
    if node.option(1, "b") != NONE:
        node.fail("it has a fused activation, which TFLite Micro refuses")
    sources = _sources(node)
    rank = len(node.output.shape)
    axis = node.option(0, "i")
    if not -rank <= axis < rank:
        node.fail(f"axis {axis} does not fit {rank} dimensions")
    axis %= rank
    for source in sources:
        a, b = source.quantization, node.output.quantization
        if a.scale != b.scale or a.zero_point != b.zero_point:
            node.fail(f"{source.name!r} is quantized differently from the output, which TFLite Micro refuses")
        if len(source.shape) != rank or source.shape[:axis] + source.shape[axis + 1 :] != (
            node.output.shape[:axis] + node.output.shape[axis + 1 :]
        ):
            node.fail(f"{source.shape} does not fit {node.output.shape} along axis {axis}")
    if sum(source.shape[axis] for source in sources) != node.output.shape[axis]:
        node.fail(f"its inputs do not make up {node.output.shape[axis]} along axis {axis}")
    return _concatenation(node, sources, math.prod(node.output.shape[:axis]))


def read_pack(node: Node) -> Op:
    """Read and check one PACK, whose axis is new."""
    node.arity(1, max(len(node.inputs), 1))
    sources, rank = _sources(node), len(node.output.shape)
    axis = node.option(1, "i")
    if not -rank <= axis < rank or node.output.shape[axis] != len(sources):
        node.fail(f"{len(sources)} inputs do not fit axis {axis} of {node.output.shape}")
    axis %= rank
    for source in sources:
        if source.shape != node.output.shape[:axis] + node.output.shape[axis + 1 :]:
            node.fail(f"{source.shape} does not fit {node.output.shape} without axis {axis}")
    return _concatenation(node, sources, math.prod(node.output.shape[:axis]))


def _sources(node: Node) -> list[Tensor]:
    sources = [node.activation(position) for position in range(len(node.inputs))]
    node.per_tensor_int8(*sources, node.output)
    return sources


def _concatenation(node: Node, sources: list[Tensor], outer: int) -> Op:
    inputs = tuple(source.index for source in sources)
    if len(sources) == 1:
        return Reshape(node.name, node.index, inputs, node.output.index, node.kind)
    parts = tuple(source.elements // outer for source in sources)
    return Concatenation(node.name, node.index, inputs, node.output.index, outer, parts, node.kind)
