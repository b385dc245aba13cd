"""What dense and depthwise convolutions share: windows over an NHWC int8 input, and per-channel requantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray, wrap_int32
from tinydeploy.ops.base import Values, WeightedOp, Window

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
class Convolution(WeightedOp):
    """A sum of products over each window of the input, for each output channel."""

    window: Window
    input_zero_point: int

    def macs(self, graph: Graph) -> int:
        """Output pixels times weights."""
        shape = graph.tensors[self.output].shape
        return shape[1] * shape[2] * self.weights.size

    def products(self, windows: NDArray[np.int16]) -> IntArray:
        """The sums of products, without bias, as (OH, OW, OC), over windows of (input - zero point) as `patches` gives
        them; exact."""
        raise NotImplementedError

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's ConvPerChannel and DepthwiseConvPerChannel."""
        out = graph.tensors[self.output].shape
        centred = values[self.inputs[0]][0].astype(np.int16) - np.int16(self.input_zero_point)
        windows = patches(centred, self.window, (out[1], out[2]), 0)
        return self.requant.apply(wrap_int32(self.products(windows) + self.bias))[None]
