"""SOFTMAX over the last dimension, int8 to int8.

An input difference takes one of 256 values, so exp() is a table made here; what is left for run time is one reciprocal
per row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray, quantize_multiplier, rounding_divide_by_pot
from tinydeploy.fixedpoint import saturating_rounding_doubling_high_mul as high_mul
from tinydeploy.ops.base import Node, Op, Values
from tinydeploy.ops.exponentials import exp_on_negative_values, one_over_one_plus

if TYPE_CHECKING:
    from tinydeploy.graph import Graph

DIFF_INTEGER_BITS = 5
SUM_INTEGER_BITS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Softmax(Op):
    """`exp_table[d]` is exp of the rescaled difference -d in Q0.31; larger differences count as zero."""

    kind: ClassVar[str] = "SOFTMAX"

    rows: int
    depth: int
    exp_table: IntArray

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's Softmax."""
        x = values[self.inputs[0]].reshape(self.rows, self.depth).astype(np.int64)
        distance = x.max(axis=1, keepdims=True) - x
        counted = distance < len(self.exp_table)
        exps = np.where(counted, self.exp_table[np.minimum(distance, len(self.exp_table) - 1)], 0)
        total = rounding_divide_by_pot(exps, SUM_INTEGER_BITS).sum(axis=1)
        out = np.empty_like(x)
        for row in range(self.rows):
            scale, bits_over_unit = reciprocal(int(total[row]))
            out[row] = rounding_divide_by_pot(high_mul(exps[row], scale), bits_over_unit + 23) - 128
        out = np.where(counted, np.clip(out, -128, 127), -128)
        return out.astype(np.int8).reshape(graph.tensors[self.output].shape)


def reciprocal(x: int) -> tuple[int, int]:
    """``1 / x`` of a positive Q12.19 value: a Q0.31 mantissa and how many bits it lies over one (GetReciprocal)."""
    headroom = 32 - x.bit_length()
    over_one = np.array(((x << headroom) & 0xFFFFFFFF) - (1 << 31))
    return int(one_over_one_plus(over_one)), SUM_INTEGER_BITS - headroom


def read(node: Node) -> Softmax:
    """Read and check one SOFTMAX."""
    node.arity(1, 1)
    source, output = node.activation(0), node.output
    node.per_tensor_int8(source, output)
    if source.shape != output.shape or not source.shape:
        node.fail(f"{source.shape} in, {output.shape} out")
    if source.shape[-1] >= 1 << SUM_INTEGER_BITS:
        node.unsupported(f"it has {source.shape[-1]} classes, more than its sum of exponentials holds (4095)")
    if output.quantization.scale != 1 / 256 or output.quantization.zero_point != -128:
        node.unsupported("its output is not quantized with scale 1/256 and zero point -128")
    beta = node.options.number(0) if node.options is not None else 0.0
    real = min(beta * source.quantization.scale * (1 << (31 - DIFF_INTEGER_BITS)), (1 << 31) - 1.0)
    if not real > 1.0:
        node.fail(f"beta {beta:g} and scale {source.quantization.scale:g} are too small, TFLite Micro aborts")
    factor = quantize_multiplier(real)
    radius = math.floor(((1 << DIFF_INTEGER_BITS) - 1) * 2.0 ** (31 - DIFF_INTEGER_BITS) / 2.0**factor.shift)
    differences = -np.arange(min(radius, 255) + 1, dtype=np.int64)
    rescaled = high_mul(differences << factor.shift, factor.mantissa)
    return Softmax(
        node.name,
        node.index,
        (source.index,),
        output.index,
        rows=source.elements // source.shape[-1],
        depth=source.shape[-1],
        exp_table=exp_on_negative_values(rescaled, DIFF_INTEGER_BITS),
    )
