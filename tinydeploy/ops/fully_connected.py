"""FULLY_CONNECTED: one or more rows times a constant int8 matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import wrap_int32
from tinydeploy.ops.base import Node, Values, WeightedOp, linear_parameters

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class FullyConnected(WeightedOp):
    """A matrix product; `weights` is (out, in); the input's last `in` elements at a time are one row."""

    kind: ClassVar[str] = "FULLY_CONNECTED"

    rows: int
    input_zero_point: int

    def macs(self, graph: Graph) -> int:
        """Rows times weights."""
        return self.rows * self.weights.size

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's FullyConnected, which rounds twice like the convolutions."""
        x = values[self.inputs[0]].reshape(self.rows, -1).astype(np.float64) - self.input_zero_point
        acc = wrap_int32((x @ self.weights.T.astype(np.float64)).astype(np.int64) + self.bias)
        return self.requant.apply(acc).reshape(graph.tensors[self.output].shape)


def read(node: Node) -> FullyConnected:
    """Read and check one FULLY_CONNECTED."""
    node.arity(2, 3)
    source, weights, output = node.activation(0), node.constant(1), node.output
    node.per_tensor_int8(source, output)
    if node.option(1, "b"):
        node.unsupported("its weights are in a shuffled format")
    if len(weights.shape) != 2:
        node.fail(f"weights {weights.name!r} have {len(weights.shape)} dimensions, not 2")
    channels, depth = weights.shape
    if source.elements % depth or not output.shape or output.shape[-1] != channels:
        node.fail(f"weights {weights.shape} do not fit {source.shape} to {output.shape}")
    rows = source.elements // depth
    if output.elements != rows * channels:
        node.fail(f"the output {output.shape} is not {rows} rows of {channels}")
    bias, requant = linear_parameters(node, source, weights, channels, 0, node.option(0, "b"))
    assert weights.data is not None
    return FullyConnected(
        node.name,
        node.index,
        (source.index,),
        output.index,
        weights=weights.data.astype(np.int8),
        bias=bias,
        requant=requant,
        rows=rows,
        input_zero_point=source.quantization.zero_point,
    )
