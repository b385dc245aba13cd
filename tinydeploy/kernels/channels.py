"""Accumulators to int8 on cores with the DSP extension: the cheapest exact form for a layer, and its constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinydeploy.fixedpoint import IntArray, wrap_int32
from tinydeploy.kernels.base import Constant
from tinydeploy.ops.base import Requant
from tinydeploy.requant_solver import accumulator_range, constant_value, solve


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """The cheapest exact requantization of a layer, as td_requantize_dsp.h names the forms.

    `table` has the C struct's fields for each channel; accumulators come to it multiplied by ``2**scale``. `assembly`
    says that the matrix block can take it: no clamp beyond int8, and the doubled sums of a pair fit 32 bits.

    Where all channels have one offset or one factor (or mantissa), `common_offset` and `common_factor` state it;
    `table` holds it in every row nonetheless.
    """

    requant: Literal["fast", "right", "general"]
    scale: int
    shift: int
    table: IntArray
    assembly: bool

    @property
    def common_factor(self) -> int | None:
        """The factor of every channel, in the right and general forms the mantissa."""
        return self._common(1)

    @property
    def common_offset(self) -> int | None:
        """The offset of every channel."""
        return self._common(2) if self.requant != "general" else None

    def _common(self, column: int) -> int | None:
        found = set(self.table[:, column].tolist()) if column < self.table.shape[1] else set()
        return found.pop() if len(found) == 1 else None

    @property
    def shape(self) -> dict[str, int | str | bool | tuple[int, ...]]:
        """What a template needs."""
        return {"requant": self.requant, "scale": self.scale, "shift": self.shift}

    @property
    def constant(self) -> Constant:
        """The table in flash; channels run in pairs, so an odd last one gets a dummy companion."""
        ctype = {"fast": "td_fast_channel", "right": "td_right_channel", "general": "td_channel"}[self.requant]
        odd = np.zeros((len(self.table) % 2, self.table.shape[1]), np.int64)
        return Constant("channels", ctype, np.concatenate([self.table, odd]))


def requantize_channels(requant: Requant, matrix: IntArray, bias: IntArray) -> Channels:
    """`matrix` is (channels, taps) and `bias` has the input's zero point folded in, so inputs lie in [-128, 127]."""
    least, most = accumulator_range(matrix, bias, -128, 127)
    natural = (requant.act_min, requant.act_max) == (-128, 127)
    solved = solve(requant, least, most)
    if solved is not None:
        start = wrap_int32((bias << solved.scale) + solved.nudge)
        table = np.stack([start, solved.factor, np.full_like(start, solved.offset)], axis=1)
        return Channels("fast", solved.scale, solved.shift, table, natural and solved.scale == 8)
    # Constant channels take any bias and shift: small ones that hold their value.
    value, constant = constant_value(requant, least, most)
    start = np.where(constant, bias - ((least + most) >> 1), bias)
    spread = int(np.where(constant, (most - least + 1) >> 1, np.maximum(-least, most)).max())
    mantissa = np.where(constant, 0, requant.mantissa)
    right = np.where(constant, 1, -requant.shift)
    offset = (np.int64(1) << np.maximum(right - 1, 0)) + (
        np.where(constant, value, requant.zero_point) << np.maximum(right, 0)
    )
    if right.min() >= 1 and spread < 1 << 30 and np.abs(offset).max() < 1 << 30:
        table = np.stack([wrap_int32(2 * start), mantissa, offset, right], axis=1)
        return Channels("right", 1, 0, table, natural and spread < 1 << 23)
    table = np.stack([wrap_int32(bias), requant.mantissa, requant.shift], axis=1)
    return Channels("general", 0, 0, table, False)
