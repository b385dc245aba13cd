"""PAD with the quantized zero, in up to four dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ops.base import Node, Op, Values

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class Pad(Op):
    """`shape` and `pads` (before, after) have four entries; missing leading dimensions are ones."""

    kind: ClassVar[str] = "PAD"

    shape: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    value: int

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's Pad: the fill is the output's zero point."""
        out = np.pad(values[self.inputs[0]].reshape(self.shape), self.pads, constant_values=self.value)
        return out.reshape(graph.tensors[self.output].shape)


def read(node: Node) -> Pad:
    """Read and check one PAD."""
    node.arity(2, 2)
    source, amounts, output = node.activation(0), node.constant(1), node.output
    node.per_tensor_int8(source, output)
    rank = len(source.shape)
    if rank > 4:
        node.unsupported(f"its input has {rank} dimensions, more than 4")
    if amounts.dtype != "int32" or amounts.data is None or amounts.elements != 2 * rank:
        node.fail(f"its paddings are not {rank} pairs of int32")
    pairs = [(int(a), int(b)) for a, b in amounts.data.reshape(rank, 2)]
    if any(min(pair) < 0 for pair in pairs):
        node.fail("a padding is negative")
    expected = tuple(size + a + b for size, (a, b) in zip(source.shape, pairs, strict=True))
    if output.shape != expected:
        node.fail(f"the output is {output.shape}, its paddings give {expected}")
    missing = 4 - rank
    return Pad(
        node.name,
        node.index,
        (source.index,),
        output.index,
        shape=(1,) * missing + source.shape,
        pads=((0, 0),) * missing + tuple(pairs),
        value=output.quantization.zero_point,
    )
