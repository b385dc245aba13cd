"""Element-wise operators for cores with the DSP extension."""

from __future__ import annotations

import numpy as np

from tinydeploy.fixedpoint import Multiplier
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation
from tinydeploy.ops.add import LEFT_SHIFT, Add


def add(op: Add, graph: Graph) -> Implementation | None:
    """ADD of equal shapes: the operand with the larger scale is shifted only, the other comes from a table.

    TFLM brings an operand to the common scale with a multiplier and two roundings; the larger scale's multiplier is one
    half exactly, and an int8 has 256 cases.
    """
    half = Multiplier(1 << 30, 0)
    a, b = op.operands
    if a.tensor is None or b.tensor is None or a.shape != b.shape:
        return None
    # The shifted operand comes first.
    swap = a.multiplier != half
    shifted, tabled = (b, a) if swap else (a, b)
    right = -op.multiplier.shift
    if shifted.multiplier != half or not 1 <= right <= 22:
        return None
    q = np.arange(256, dtype=np.uint8).view(np.int8)
    # Doubled, as the rounding high multiplication wants its operand; the shifted operand's zero point is in the table.
    table = 2 * (tabled.scaled(q) - (shifted.zero_point << (LEFT_SHIFT - 1)))
    if 2 * np.abs(table).max() >= 1 << 31:
        return None
    elements = int(np.prod(a.shape))
    return Implementation(
        "td_add_s8_dsp",
        "x".join(str(size) for size in a.shape[1:]),
        {
            "elements": elements,
            "swap": swap,
            "mantissa": op.multiplier.mantissa,
            "offset": (1 << (right - 1)) + (op.output_zero_point << right),
            "shift": right,
            "act_min": op.act_min,
            "act_max": op.act_max,
        },
        (Constant("table", "int32_t", table),),
        in_place=True,
    )
