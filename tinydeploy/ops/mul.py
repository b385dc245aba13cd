"""MUL of two activations, or of one and a constant, with broadcasting over up to four dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray, Multiplier, multiply_by_quantized_multiplier, quantize_multiplier
from tinydeploy.ops.base import Node, Op
from tinydeploy.ops.operands import BinaryOp, Operand, activations, fold_constant, operand, read_sides


@dataclass(frozen=True, slots=True, eq=False)
class Mul(BinaryOp):
    """A product of what lies over the zero points, rescaled to the output."""

    kind: ClassVar[str] = "MUL"

    multiplier: Multiplier

    def combine(self, a: NDArray[Any], b: NDArray[Any]) -> IntArray:
        """TFLM's MulElementwise."""
        x, y = (q.astype(np.int64) - side.zero_point for q, side in zip((a, b), self.operands, strict=True))
        return multiply_by_quantized_multiplier(x * y, self.multiplier.mantissa, self.multiplier.shift)


def read(node: Node) -> Op:
    """Read and check one MUL."""
    sides = read_sides(node)
    scale_a, scale_b = (side.quantization.scale for side in sides)
    real = scale_a * scale_b / node.output.quantization.scale
    # A product takes 17 bits; with this bound its rescaling cannot overflow.
    if not real < 2.0**14:
        node.fail("its scales give a multiplier out of range")
    act_min, act_max = node.activation_range(node.option(0, "b"))
    return fold_constant(
        Mul(
            node.name,
            node.index,
            activations(sides),
            node.output.index,
            operands=(Operand(**operand(node, sides[0])), Operand(**operand(node, sides[1]))),
            output_zero_point=node.output.quantization.zero_point,
            act_min=act_min,
            act_max=act_max,
            multiplier=quantize_multiplier(real),
        )
    )
