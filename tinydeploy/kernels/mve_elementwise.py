"""ADD and SUB for cores with MVE: the sum of two products as in the DSP kernel, eight elements at a time."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Implementation, integer
from tinydeploy.kernels.elementwise import add_linear
from tinydeploy.ops.add import Add

_INT32_LIMIT = 1 << 31
_NUMBERS = ("factor_a", "factor_b", "constant", "shift")


def add(op: Add, graph: Graph) -> Implementation | None:
    """ADD or SUB of equal shapes where two factors and a constant are proved to give TFLM's results.

    The last shift is done in two parts, to halfwords and to bytes, that both round up halves; the constant takes that
    back: floor((floor((x + r1) / 2^s1) + r2) / 2^s2) = floor((x + r1 + r2 2^s1) / 2^(s1 + s2)). (Narrowing shifts that
    do not round exist, but the GNU assembler 2.40 encodes them as those that do.)
    """
    linear = add_linear(op, graph)
    if linear is None:
        return None
    factor_a, factor_b, constant, shift = (integer(linear.shape, key) for key in _NUMBERS)
    second = min(shift - 1, 8)
    constant -= (1 << (shift - second - 1)) + (1 << (shift - 1))
    if (abs(factor_a) + abs(factor_b)) // 2 + 2 + abs(constant) >= _INT32_LIMIT:
        return None
    shifts = {"shift": shift - second, "second_shift": second}
    return replace(linear, template="td_add_s8_mve", shape={**linear.shape, **shifts, "constant": constant})
