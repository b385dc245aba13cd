"""MEAN over neighbouring axes: the tensor seen as (outer, reduced, inner)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import Multiplier, multiply_by_quantized_multiplier, quantize_multiplier, wrap_int32
from tinydeploy.ops.base import Node, Op, Values

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class Mean(Op):
    """The mean of `reduced` values; the division is folded into the multiplier, as TFLM does."""

    kind: ClassVar[str] = "MEAN"

    outer: int
    reduced: int
    inner: int
    multiplier: Multiplier
    input_zero_point: int
    output_zero_point: int

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's QuantizedMeanOrSum."""
        x = values[self.inputs[0]].reshape(self.outer, self.reduced, self.inner).astype(np.int64)
        total = wrap_int32(x.sum(axis=1) - self.input_zero_point * self.reduced)
        scaled = multiply_by_quantized_multiplier(total, self.multiplier.mantissa, self.multiplier.shift)
        out = np.clip(scaled + self.output_zero_point, -128, 127).astype(np.int8)
        return out.reshape(graph.tensors[self.output].shape)


def mean_multiplier(input_scale: float, output_scale: float, count: int) -> Multiplier:
    """The rescaling factor with ``1 / count`` folded in (QuantizedMeanOrSum)."""
    scale = quantize_multiplier(input_scale / output_scale)
    shift = min(count.bit_length() - 1, 32, 31 + scale.shift)
    return Multiplier((scale.mantissa << shift) // count, scale.shift - shift)


def read(node: Node) -> Mean:
    """Read and check one MEAN."""
    node.arity(2, 2)
    source, axes, output = node.activation(0), node.constant(1), node.output
    node.per_tensor_int8(source, output)
    if axes.dtype != "int32" or axes.data is None:
        node.fail("its axes are not int32")
    rank = len(source.shape)
    raw = [int(axis) for axis in axes.data.reshape(-1)]
    if not raw or any(not -rank <= axis < rank for axis in raw):
        node.fail(f"axes {raw} do not fit {rank} dimensions")
    chosen = sorted({axis % rank for axis in raw})
    first, last = chosen[0], chosen[-1]
    if chosen != list(range(first, last + 1)):
        node.unsupported(f"axes {chosen} are not neighbours")
    shape = source.shape
    outer, reduced, inner = (int(np.prod(part)) for part in (shape[:first], shape[first : last + 1], shape[last + 1 :]))
    if output.elements != outer * inner:
        node.fail(f"{shape} reduced over {chosen} does not give {output.shape}")
    ratio = source.quantization.scale / output.quantization.scale
    if not ratio < 2.0**30:
        node.fail("its scales give a multiplier out of range")
    return Mean(
        node.name,
        node.index,
        (source.index,),
        output.index,
        outer=outer,
        reduced=reduced,
        inner=inner,
        multiplier=mean_multiplier(source.quantization.scale, output.quantization.scale, reduced),
        input_zero_point=source.quantization.zero_point,
        output_zero_point=output.quantization.zero_point,
    )
