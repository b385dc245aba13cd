"""ADD of two activations, or of one and a constant, with broadcasting over up to four dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray, Multiplier, multiply_by_quantized_multiplier, quantize_multiplier
from tinydeploy.graph import Tensor
from tinydeploy.ops.base import Node, Op, Values

if TYPE_CHECKING:
    from tinydeploy.graph import Graph

LEFT_SHIFT = 20


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of the sum: an activation (`tensor`) or a constant (`data`); `shape` is padded to four dimensions."""

    tensor: int | None
    data: bytes
    shape: tuple[int, int, int, int]
    zero_point: int
    multiplier: Multiplier

    def scaled(self, q: NDArray[Any]) -> IntArray:
        """The operand's int8 values at the common scale, 20 bits finer (TFLM's scaled_input)."""
        shifted = (q.astype(np.int64) - self.zero_point) << LEFT_SHIFT
        return multiply_by_quantized_multiplier(shifted, self.multiplier.mantissa, self.multiplier.shift)


@dataclass(frozen=True, slots=True, eq=False)
class Add(Op):
    """A sum with a common fixed-point scale, rescaled to the output."""

    kind: ClassVar[str] = "ADD"

    operands: tuple[Operand, Operand]
    multiplier: Multiplier
    output_zero_point: int
    act_min: int
    act_max: int

    @property
    def weights_bytes(self) -> int:
        """Bytes of a constant operand."""
        return sum(len(operand.data) for operand in self.operands)

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's AddFunc."""
        total: Any = 0
        for operand in self.operands:
            q = np.frombuffer(operand.data, np.int8) if operand.tensor is None else values[operand.tensor]
            total = total + operand.scaled(q.reshape(operand.shape))
        scaled = multiply_by_quantized_multiplier(total, self.multiplier.mantissa, self.multiplier.shift)
        out = np.clip(scaled + self.output_zero_point, self.act_min, self.act_max).astype(np.int8)
        return out.reshape(graph.tensors[self.output].shape)


def _four(node: Node, tensor: Tensor) -> tuple[int, int, int, int]:
    if len(tensor.shape) > 4:
        node.unsupported(f"tensor {tensor.name!r} has {len(tensor.shape)} dimensions, more than 4")
    a, b, c, d = (1,) * (4 - len(tensor.shape)) + tensor.shape
    return a, b, c, d


def read(node: Node) -> Add:
    """Read and check one ADD."""
    node.arity(2, 2)
    sides = []
    for position, tensor in enumerate(node.inputs):
        if tensor is None:
            node.fail(f"input {position} is missing")
        sides.append(tensor)
    output = node.output
    node.per_tensor_int8(*sides, output)
    if all(side.data is not None for side in sides):
        node.unsupported("both inputs are constants")
    shapes = [_four(node, side) for side in sides]
    for a, b, c in zip(*shapes, _four(node, output), strict=True):
        if c != max(a, b) or min(a, b) not in (1, c):
            node.fail(f"shapes {sides[0].shape} and {sides[1].shape} do not give {output.shape}")
    scales = [side.quantization.scale for side in sides]
    twice_max = 2.0 * max(scales)
    real_output = twice_max / ((1 << LEFT_SHIFT) * output.quantization.scale)
    if not real_output < 1.0:
        node.fail(f"its output scale {output.quantization.scale:g} is too small for its inputs, TFLite Micro aborts")
    operands = [
        Operand(
            tensor=None if side.data is not None else side.index,
            data=b"" if side.data is None else side.data.tobytes(),
            shape=shape,
            zero_point=side.quantization.zero_point,
            multiplier=quantize_multiplier(side.quantization.scale / twice_max),
        )
        for side, shape in zip(sides, shapes, strict=True)
    ]
    act_min, act_max = node.activation_range(node.option(0, "b"))
    return Add(
        node.name,
        node.index,
        tuple(side.index for side in sides if side.data is None),
        output.index,
        operands=(operands[0], operands[1]),
        multiplier=quantize_multiplier(real_output),
        output_zero_point=output.quantization.zero_point,
        act_min=act_min,
        act_max=act_max,
    )
