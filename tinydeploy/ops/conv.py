"""CONV_2D, dense or grouped: NHWC int8 input, OHWI int8 weights, per-channel requantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.ops.base import Node, four_dimensional, linear_parameters, read_window
from tinydeploy.ops.convolution import Convolution


@dataclass(frozen=True, slots=True, eq=False)
class Conv2D(Convolution):
    """A dense or grouped convolution; `weights` is (out, kernel h, kernel w, in per group)."""

    kind: ClassVar[str] = "CONV_2D"

    groups: int

    def products(self, windows: NDArray[np.int16]) -> IntArray:
        """Each group is a matrix product over its own channels of the input."""
        out_h, out_w = windows.shape[:2]
        depth = self.weights.shape[3]
        per_group = self.weights.shape[0] // self.groups
        parts = []
        for group in range(self.groups):
            part = windows[..., group * depth : (group + 1) * depth].reshape(out_h * out_w, -1)
            matrix = self.weights[group * per_group : (group + 1) * per_group].reshape(per_group, -1)
            # Products and sums stay far below 2**53, so float64 is exact and uses the fast matrix product.
            parts.append(part.astype(np.float64) @ matrix.T.astype(np.float64))
        return np.concatenate(parts, axis=1).astype(np.int64).reshape(out_h, out_w, -1)


def read(node: Node) -> Conv2D:
    """Read and check one CONV_2D."""
    node.arity(2, 3)
    source, weights, output = node.activation(0), node.constant(1), node.output
    four_dimensional(node, source, output)
    node.per_tensor_int8(source, output)
    if len(weights.shape) != 4:
        node.fail(f"weights {weights.name!r} have {len(weights.shape)} dimensions, not 4")
    out_channels, kh, kw, depth = weights.shape
    if source.shape[3] % depth or output.shape[3] != out_channels:
        node.fail(f"weights {weights.shape} do not fit {source.shape[3]} to {output.shape[3]} channels")
    groups = source.shape[3] // depth
    if out_channels % groups:
        node.fail(f"{out_channels} output channels do not divide into {groups} groups")
    window = read_window(
        node,
        source,
        (kh, kw),
        (node.option(2, "i"), node.option(1, "i")),
        (node.option(5, "i", 1), node.option(4, "i", 1)),
        node.option(0, "b"),
    )
    bias, requant = linear_parameters(node, source, weights, out_channels, 0, node.option(3, "b"))
    assert weights.data is not None
    return Conv2D(
        node.name,
        node.index,
        (source.index,),
        output.index,
        weights=weights.data.astype(np.int8),
        bias=bias,
        requant=requant,
        window=window,
        groups=groups,
        input_zero_point=source.quantization.zero_point,
    )
