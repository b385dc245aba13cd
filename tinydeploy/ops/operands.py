"""Element-wise operators of two operands: each an activation or a constant, broadcast over four dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Tensor
from tinydeploy.ops.base import Node, Op, Values
from tinydeploy.ops.quantize import Lookup, byte_values

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


@dataclass(frozen=True, slots=True)
class Operand:
    """One side: an activation (`tensor`) or a constant (`data`); `shape` is padded to four dimensions."""

    tensor: int | None
    data: bytes
    shape: tuple[int, int, int, int]
    zero_point: int

    def quantized(self, values: Values) -> NDArray[Any]:
        """The int8 values in four dimensions."""
        q = np.frombuffer(self.data, np.int8) if self.tensor is None else values[self.tensor]
        return q.reshape(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class BinaryOp(Op):
    """An element-wise operator; `inputs` are the operands that are activations."""

    operands: tuple[Operand, Operand]
    output_zero_point: int
    act_min: int
    act_max: int

    @property
    def weights_bytes(self) -> int:
        """Bytes of a constant operand."""
        return sum(len(operand.data) for operand in self.operands)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The output's shape in four dimensions."""
        a, b, c, d = (max(sizes) for sizes in zip(self.operands[0].shape, self.operands[1].shape, strict=True))
        return a, b, c, d

    def combine(self, a: NDArray[Any], b: NDArray[Any]) -> IntArray:
        """TFLM's arithmetic on int8 values that broadcast, up to the output's zero point and the clamp."""
        raise NotImplementedError

    def apply(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int8]:
        """The int8 results for int8 values that broadcast."""
        return np.clip(self.combine(a, b) + self.output_zero_point, self.act_min, self.act_max).astype(np.int8)

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """All elements."""
        a, b = (operand.quantized(values) for operand in self.operands)
        return self.apply(a, b).reshape(graph.tensors[self.output].shape)


def read_sides(node: Node) -> tuple[Tensor, Tensor]:
    """The two inputs of an element-wise operator: int8, at most one of them constant, broadcastable to the output."""
    node.arity(2, 2)
    sides = []
    for position, tensor in enumerate(node.inputs):
        if tensor is None:
            node.fail(f"input {position} is missing")
        sides.append(tensor)
    a, b = sides
    node.per_tensor_int8(a, b, node.output)
    if a.data is not None and b.data is not None:
        node.unsupported("both inputs are constants")
    shapes = [four_sizes(node, tensor) for tensor in (a, b, node.output)]
    for x, y, z in zip(*shapes, strict=True):
        if z != max(x, y) or min(x, y) not in (1, z):
            node.fail(f"shapes {a.shape} and {b.shape} do not give {node.output.shape}")
    return a, b


def four_sizes(node: Node, tensor: Tensor) -> tuple[int, int, int, int]:
    """A shape with ones in front up to four dimensions."""
    if len(tensor.shape) > 4:
        node.unsupported(f"tensor {tensor.name!r} has {len(tensor.shape)} dimensions, more than 4")
    a, b, c, d = (1,) * (4 - len(tensor.shape)) + tensor.shape
    return a, b, c, d


def operand(node: Node, tensor: Tensor) -> dict[str, Any]:
    """The fields of an Operand for one input."""
    return {
        "tensor": None if tensor.data is not None else tensor.index,
        "data": b"" if tensor.data is None else tensor.data.tobytes(),
        "shape": four_sizes(node, tensor),
        "zero_point": tensor.quantization.zero_point,
    }


def activations(sides: tuple[Tensor, Tensor]) -> tuple[int, ...]:
    """The inputs of an operator on `sides`."""
    return tuple(side.index for side in sides if side.data is None)


def fold_constant(op: BinaryOp) -> Op:
    """`op`, or the table that it amounts to where one operand is the same value everywhere and the other has the
    output's shape."""
    for at, side in enumerate(op.operands):
        other = op.operands[1 - at]
        if side.tensor is None and len(set(side.data)) == 1 and math.prod(other.shape) == math.prod(op.shape):
            every = byte_values("int8").astype(np.int8)
            one = np.frombuffer(side.data[:1], np.int8)
            table = op.apply(*((one, every) if at == 0 else (every, one)))
            return Lookup(op.name, op.index, op.inputs, op.output, table, op.kind)
    return op
