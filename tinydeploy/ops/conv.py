"""CONV_2D, dense or grouped: NHWC int8 input, OHWI int8 weights, per-channel requantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray, wrap_int32
from tinydeploy.ops.base import (
    Node,
    Values,
    WeightedOp,
    Window,
    four_dimensional,
    linear_parameters,
    read_window,
)

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


def patches(x: NDArray[Any], window: Window, out_hw: tuple[int, int], fill: int) -> NDArray[Any]:
    """Every window of an (H, W, C) array as (OH, OW, KH, KW, C); positions outside the array hold `fill`."""
    (kh, kw), (sh, sw), (dh, dw), (pt, pl) = window.kernel, window.stride, window.dilation, window.pad
    oh, ow = out_hw
    need_h, need_w = (oh - 1) * sh + (kh - 1) * dh + 1, (ow - 1) * sw + (kw - 1) * dw + 1
    h, w, c = x.shape
    padded = np.full((max(need_h, pt + h), max(need_w, pl + w), c), fill, x.dtype)
    padded[pt : pt + h, pl : pl + w] = x
    rows = (np.arange(oh) * sh)[:, None] + np.arange(kh) * dh
    cols = (np.arange(ow) * sw)[:, None] + np.arange(kw) * dw
    return padded[rows[:, None, :, None], cols[None, :, None, :]]


@dataclass(frozen=True, slots=True, eq=False)
class Conv2D(WeightedOp):
    """A convolution; `weights` is (out, kernel h, kernel w, in per group)."""

    kind: ClassVar[str] = "CONV_2D"

    window: Window
    groups: int
    input_zero_point: int

    def macs(self, graph: Graph) -> int:
        """Output pixels times weights."""
        shape = graph.tensors[self.output].shape
        return shape[1] * shape[2] * self.weights.size

    def accumulate(self, x: NDArray[Any], out_hw: tuple[int, int]) -> IntArray:
        """The int32 accumulators, bias included, as (OH, OW, OC) of an (H, W, C) input."""
        centred = x.astype(np.float64) - self.input_zero_point
        windows = patches(centred, self.window, out_hw, 0)
        depth = self.weights.shape[3]
        per_group = self.weights.shape[0] // self.groups
        parts = []
        for group in range(self.groups):
            part = windows[..., group * depth : (group + 1) * depth].reshape(out_hw[0] * out_hw[1], -1)
            matrix = self.weights[group * per_group : (group + 1) * per_group].reshape(per_group, -1)
            # Products and sums stay far below 2**53, so float64 is exact and uses the fast matrix product.
            parts.append(part @ matrix.T.astype(np.float64))
        acc = np.concatenate(parts, axis=1).astype(np.int64) + self.bias
        return wrap_int32(acc).reshape(*out_hw, -1)

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's ConvPerChannel."""
        out = graph.tensors[self.output].shape
        return self.requant.apply(self.accumulate(values[self.inputs[0]][0], (out[1], out[2])))[None]


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
