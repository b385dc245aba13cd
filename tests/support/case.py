"""A case of the operator tests: a model of one operator, and the inputs that try its ends."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.net import Net

Build = Callable[[Net], int]
RANDOM_INPUTS = 5


@dataclass(frozen=True, slots=True)
class Case:
    """`build` adds the operator to a fresh net, its input included, and returns the output."""

    op: str
    name: str
    build: Build

    @property
    def id(self) -> str:
        return f"{self.op}-{self.name}"

    def model(self) -> bytes:
        net = self._net()
        return net.done(self.build(net))

    def inputs(self) -> NDArray[Any]:
        """(N, *input shape): random values and extremes."""
        net = self._net()
        self.build(net)
        tensor = net.model.tensors[net.model.inputs[0]]
        zero_point = tensor.quant.zero_points[0] if tensor.quant is not None else 0
        return extreme_inputs(tensor.shape, tensor.dtype, zero_point, zlib.crc32(self.id.encode()))

    def _net(self) -> Net:
        return Net(zlib.crc32(self.id.encode()))


def extreme_inputs(shape: tuple[int, ...], dtype: str, zero_point: int, seed: int) -> NDArray[Any]:
    """All lowest, all highest, alternating, all zero point, random ends, and random values, as (N, *shape)."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    if dtype == "float32":
        rows = [np.zeros(size), np.full(size, 1e3), np.full(size, -1e3)]
        rows += [rng.normal(0, 10.0 ** rng.integers(-3, 3), size) for _ in range(RANDOM_INPUTS)]
        rows.append(
            np.round(rng.normal(0, 8, size)) * 0.5
        )  # halves: ties of the rounding for scales that are powers of 2
    else:
        low, high = (-128, 127) if dtype == "int8" else (0, 255)
        ends = np.array([low, high])
        rows = [
            np.full(size, low),
            np.full(size, high),
            np.resize(ends, size),
            np.full(size, zero_point),
            rng.choice(ends, size),
        ]
        rows += [rng.integers(low, high + 1, size) for _ in range(RANDOM_INPUTS)]
    return np.stack(rows).astype(dtype).reshape(len(rows), *shape)
