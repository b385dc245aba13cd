"""DEPTHWISE_CONV_2D: each input channel has its own `depth_multiplier` filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.ops.base import Node, four_dimensional, linear_parameters, read_window
from tinydeploy.ops.convolution import Convolution


@dataclass(frozen=True, slots=True, eq=False)
class DepthwiseConv2D(Convolution):
    """`weights` is (kernel h, kernel w, out); output channel ``o`` reads input channel ``o // multiplier``."""

    kind: ClassVar[str] = "DEPTHWISE_CONV_2D"

    multiplier: int

    def products(self, windows: NDArray[np.int16]) -> IntArray:
        """Each input channel times the filters of its own."""
        spread = np.repeat(windows.astype(np.int64), self.multiplier, axis=-1)
        return np.einsum("hwijc,ijc->hwc", spread, self.weights.astype(np.int64))


def read(node: Node) -> DepthwiseConv2D:
    """Read and check one DEPTHWISE_CONV_2D."""
    node.arity(2, 3)
    source, weights, output = node.activation(0), node.constant(1), node.output
    four_dimensional(node, source, output)
    node.per_tensor_int8(source, output)
    if len(weights.shape) != 4 or weights.shape[0] != 1:
        node.fail(f"weights {weights.name!r} are {weights.shape}, not (1, height, width, channels)")
    _, kh, kw, channels = weights.shape
    multiplier = node.option(3, "i")
    if multiplier < 1 or channels != source.shape[3] * multiplier or output.shape[3] != channels:
        node.fail(f"{source.shape[3]} channels times {multiplier} do not give {channels}")
    window = read_window(
        node,
        source,
        (kh, kw),
        (node.option(2, "i"), node.option(1, "i")),
        (node.option(6, "i", 1), node.option(5, "i", 1)),
        node.option(0, "b"),
    )
    bias, requant = linear_parameters(node, source, weights, channels, 3, node.option(4, "b"))
    assert weights.data is not None
    return DepthwiseConv2D(
        node.name,
        node.index,
        (source.index,),
        output.index,
        weights=weights.data[0].astype(np.int8),
        bias=bias,
        requant=requant,
        window=window,
        multiplier=multiplier,
        input_zero_point=source.quantization.zero_point,
    )
