"""Element-wise operators by table, for cores without a long multiplication: compared for every pair of values."""

from __future__ import annotations

import numpy as np

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation
from tinydeploy.ops.add import Add

# Fewer elements are not worth the 2 KB of an ADD's tables.
_LEAST_ELEMENTS = 1024
_ROUNDS = 16
_STEP = 1 << 16


def add(op: Add, graph: Graph) -> Implementation | None:
    """ADD or SUB of equal shapes as a sum of two table entries, where that is TFLM's result for all pairs of values."""
    a, b = op.operands
    elements = int(np.prod(a.shape))
    if a.tensor is None or b.tensor is None or a.shape != b.shape or elements < _LEAST_ELEMENTS:
        return None
    q = np.arange(256, dtype=np.uint8).view(np.int8)
    scaled = np.stack([a.scaled(q), op.sign * b.scaled(q)])
    want = op.combine(q[:, None], q) + op.output_zero_point
    real = scaled * (op.multiplier.mantissa * 2.0 ** (op.multiplier.shift - 31))
    real[1] += op.output_zero_point + 0.5
    shift = 29 - int(np.ceil(np.log2(np.abs(real).max())))
    if not 0 < shift < 31:
        return None
    table = _shares(np.round(real * 2.0**shift).astype(np.int64), np.clip(want, op.act_min, op.act_max), op, shift)
    if table is None:
        return None
    return Implementation(
        "td_add_s8_tables",
        "x".join(str(size) for size in a.shape[1:]),
        {"elements": elements, "shift": shift, "act_min": op.act_min, "act_max": op.act_max},
        (Constant("table", "int32_t", table.reshape(-1)),),
        in_place=True,
    )


def _shares(start: IntArray, want: IntArray, op: Add, shift: int) -> IntArray | None:
    """Tables near `start` whose sums, shifted and clamped, are `want` for all pairs, or None if none is found.

    Each pair bounds the sum of its two entries; in turn, each table's entries move into the bounds that the
    other's set.
    """
    x, y = start
    least = np.where(want > op.act_min, want << shift, -(1 << 40))
    most = np.where(want < op.act_max, ((want + 1) << shift) - 1, 1 << 40)
    for _ in range(_ROUNDS):
        total = x[:, None] + y
        if np.all((total >= least) & (total <= most)):
            return np.stack([x, y])
        x = _between((least - y).max(axis=1), (most - y).min(axis=1), x)
        y = _between((least - x[:, None]).max(axis=0), (most - x[:, None]).min(axis=0), y)
    return None


def _between(low: IntArray, high: IntArray, near: IntArray) -> IntArray:
    """The middle of [low, high], cut to the neighbourhood of `near`, so that entries never leave 31 bits."""
    return (np.clip(low, near - _STEP, near + _STEP) + np.clip(high, near - _STEP, near + _STEP)) >> 1
