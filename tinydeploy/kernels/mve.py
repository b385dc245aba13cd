"""What the kernels for cores with MVE (Cortex-M55) share: accumulators to int8, four at a time.

TFLM's requantization is a rounding doubling high multiplication, a rounding right shift with halves away from zero, the
zero point and a clamp.

- VQRDMULH is the first exactly: floor((2 a b + 2^31) / 2^32). It saturates for two INT32_MIN only, and no mantissa is
  negative.
- VRSHL is the second but for halves, which go up: the two differ at negative halves. With ReLU negative values clamp to
  the zero point either way, so VRSHL alone is exact. Else the kernel first takes 1 from negative values:
  floor((x - 1 + 2^(r - 1)) / 2^r) is x / 2^r with halves down, for r >= 1.
- Narrowing to int16 saturates, which changes nothing: with or without the zero point, what it cuts is far outside int8.

So unlike on other cores, nothing is solved or assumed of the accumulators: these forms are exact for every int32.
(Armv8.1-M Architecture Reference Manual: VQRDMULH, VRSHL, VQMOVN.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinydeploy.fixedpoint import IntArray, multiply_by_quantized_multiplier, wrap_int32
from tinydeploy.ops.base import Requant
from tinydeploy.requant_solver import accumulator_range

_INT16_LIMIT = 1 << 15


@dataclass(frozen=True, slots=True, eq=False)
class VectorRequant:
    """A layer's requantization in vectors. `table` is (channels, 3): bias, mantissa, and the shift as VRSHL takes it,
    negative to the right.

    `away` says that negative halves must go down, `fits` that no scaled accumulator leaves int16, so that narrowing
    need not saturate; `low` and `high` are the clamp.
    """

    table: IntArray
    zero_point: int
    away: bool
    fits: bool
    low: int
    high: int

    @property
    def shape(self) -> dict[str, int | bool]:
        """What a template must know."""
        return {"away": self.away, "fits": self.fits, "act_min": self.low, "act_max": self.high}


def vector_requant(requant: Requant, matrix: IntArray, bias: IntArray) -> VectorRequant | None:
    """`matrix` is (channels, taps) and `bias` has the input's zero point folded in, so inputs lie in [-128, 127]. None
    where a shift is to the left, or 0 while negative halves matter."""
    away = requant.act_min < requant.zero_point
    # Nothing times 0 needs rounding.
    shift = np.where(requant.mantissa == 0, -1, requant.shift)
    if np.any(shift > (-1 if away else 0)):
        return None
    ends = np.stack(accumulator_range(matrix, bias, -128, 127))
    scaled = multiply_by_quantized_multiplier(wrap_int32(ends), requant.mantissa, requant.shift)
    fits = np.array_equal(wrap_int32(ends), ends) and bool(np.all(np.abs(scaled) < _INT16_LIMIT))
    table = np.stack([wrap_int32(bias), requant.mantissa, shift], axis=1)
    return VectorRequant(table, requant.zero_point, away, fits, requant.act_min, requant.act_max)
