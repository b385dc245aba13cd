"""MAXIMUM and MINIMUM of two activations, or of one and a constant, as stored: TFLite Micro rescales nothing."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.ops.base import Node, Op
from tinydeploy.ops.operands import BinaryOp, Operand, activations, fold_constant, operand, read_sides


class Maximum(BinaryOp):
    """The larger of each two."""

    __slots__ = ()
    kind: ClassVar[str] = "MAXIMUM"

    def combine(self, a: NDArray[Any], b: NDArray[Any]) -> IntArray:
        """TFLM's MaximumOp."""
        return np.maximum(a, b).astype(np.int64)


class Minimum(BinaryOp):
    """The smaller of each two."""

    __slots__ = ()
    kind: ClassVar[str] = "MINIMUM"

    def combine(self, a: NDArray[Any], b: NDArray[Any]) -> IntArray:
        """TFLM's MinimumOp."""
        return np.minimum(a, b).astype(np.int64)


def read(node: Node) -> Op:
    """Read and check one MAXIMUM or MINIMUM."""
    sides = read_sides(node)
    kind = Maximum if node.kind == "MAXIMUM" else Minimum
    operands = (Operand(**operand(node, sides[0])), Operand(**operand(node, sides[1])))
    return fold_constant(kind(node.name, node.index, activations(sides), node.output.index, operands, 0, -128, 127))
