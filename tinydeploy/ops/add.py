"""ADD and SUB of two activations, or of one and a constant, with broadcasting over up to four dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray, Multiplier, multiply_by_quantized_multiplier, quantize_multiplier
from tinydeploy.ops.base import Node, Op
from tinydeploy.ops.operands import BinaryOp, Operand, activations, fold_constant, operand, read_sides

LEFT_SHIFT = 20


@dataclass(frozen=True, slots=True)
class ScaledOperand(Operand):
    """One side of the sum; `multiplier` brings it to the common scale."""

    multiplier: Multiplier

    def scaled(self, q: NDArray[Any]) -> IntArray:
        """The operand's int8 values at the common scale, 20 bits finer (TFLM's scaled_input)."""
        shifted = (q.astype(np.int64) - self.zero_point) << LEFT_SHIFT
        return multiply_by_quantized_multiplier(shifted, self.multiplier.mantissa, self.multiplier.shift)


@dataclass(frozen=True, slots=True, eq=False)
class Add(BinaryOp):
    """A sum with a common fixed-point scale, rescaled to the output."""

    kind: ClassVar[str] = "ADD"
    sign: ClassVar[int] = 1

    operands: tuple[ScaledOperand, ScaledOperand]
    multiplier: Multiplier

    def combine(self, a: NDArray[Any], b: NDArray[Any]) -> IntArray:
        """TFLM's AddFunc, or SubElementwise."""
        total = self.operands[0].scaled(a) + self.sign * self.operands[1].scaled(b)
        return multiply_by_quantized_multiplier(total, self.multiplier.mantissa, self.multiplier.shift)


class Subtract(Add):
    """A difference: the second operand, at the common scale, is subtracted."""

    __slots__ = ()
    kind: ClassVar[str] = "SUB"
    sign: ClassVar[int] = -1


def read(node: Node) -> Op:
    """Read and check one ADD or SUB."""
    sides = read_sides(node)
    scales = [side.quantization.scale for side in sides]
    twice_max = 2.0 * max(scales)
    real_output = twice_max / ((1 << LEFT_SHIFT) * node.output.quantization.scale)
    if not real_output < 1.0:
        scale = node.output.quantization.scale
        node.fail(f"its output scale {scale:g} is too small for its inputs, TFLite Micro aborts")
    a, b = (
        ScaledOperand(**operand(node, side), multiplier=quantize_multiplier(scale / twice_max))
        for side, scale in zip(sides, scales, strict=True)
    )
    act_min, act_max = node.activation_range(node.option(0, "b"))
    kind = Subtract if node.kind == "SUB" else Add
    return fold_constant(
        kind(
            node.name,
            node.index,
            activations(sides),
            node.output.index,
            operands=(a, b),
            output_zero_point=node.output.quantization.zero_point,
            act_min=act_min,
            act_max=act_max,
            multiplier=quantize_multiplier(real_output),
        )
    )
