"""DEPTHWISE_CONV_2D with large windows for cores with the DSP extension: each channel as a plane of halfwords."""

from __future__ import annotations

import numpy as np

from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Overlap, requant_shape
from tinydeploy.kernels.channels import requantize_channels
from tinydeploy.kernels.matrix import conv
from tinydeploy.kernels.matrix_form import BALANCED, Choices
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.depthwise import DepthwiseConv2D

# A plane is repaid by this many products per value in it.
_LEAST_TAPS, _LEAST_TAPS_PER_VALUE = 9, 2
# A plane may take this much, or this part of the input's bytes.
_PLANE_BYTES, _PLANE_SHARE = 2048, 4
# Outputs side by side, so that sums, values and weights stay in registers.
_BLOCK = {1: 6, 2: 4}
_OTHER_BLOCK = 4


def one_channel(op: DepthwiseConv2D, graph: Graph, choices: Choices = BALANCED) -> Implementation | None:
    """One input channel with many filters is a dense convolution."""
    if graph.tensors[op.inputs[0]].shape[3] != 1:
        return None
    dense = Conv2D(
        op.name,
        op.index,
        op.inputs,
        op.output,
        weights=np.ascontiguousarray(op.weights.transpose(2, 0, 1)[..., None]),
        bias=op.bias,
        requant=op.requant,
        window=op.window,
        groups=1,
        input_zero_point=op.input_zero_point,
    )
    return conv(dense, graph, choices)


def planes(op: DepthwiseConv2D, graph: Graph) -> Implementation | None:
    """Windows of many taps, any stride and number of filters per channel."""
    _, in_h, in_w, in_c = graph.tensors[op.inputs[0]].shape
    _, out_h, out_w, out_c = graph.tensors[op.output].shape
    (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w) = op.window.kernel, op.window.stride, op.window.pad
    taps = kernel_h * kernel_w * op.multiplier
    if op.window.dilation != (1, 1) or taps < max(_LEAST_TAPS, _LEAST_TAPS_PER_VALUE * stride_h * stride_w):
        return None
    tall = kernel_h > kernel_w  # then the plane's rows are the input's columns
    rows, columns = (kernel_w, kernel_h) if tall else (kernel_h, kernel_w)
    strides = (stride_w, stride_h) if tall else (stride_h, stride_w)
    pads = (pad_w, pad_h) if tall else (pad_h, pad_w)
    inside = (in_w, in_h) if tall else (in_h, in_w)
    outputs = (out_w, out_h) if tall else (out_h, out_w)
    plane_h = max((outputs[0] - 1) * strides[0] + rows, pads[0] + inside[0])
    # Words that begin at an odd place reach one place further.
    plane_w = _even(max((outputs[1] - 1) * strides[1] + columns + 1, pads[1] + inside[1]))
    plane_bytes = -(-2 * plane_h * plane_w // 4) * 4
    if plane_bytes > max(_PLANE_BYTES, in_h * in_w * in_c // _PLANE_SHARE):
        return None
    matrix = op.weights.reshape(-1, out_c).T.astype(np.int64)
    channels = requantize_channels(op.requant, matrix, op.bias - op.input_zero_point * matrix.sum(axis=1))
    if matrix.max(initial=0) << channels.scale >= 1 << 15:
        return None
    shifted = strides[1] % 2 == 1
    filter_words = rows * ((columns + 1) // 2 + ((columns + 2) // 2 if shifted else 0))
    order = op.weights.transpose(2, 1, 0) if tall else op.weights.transpose(2, 0, 1)
    return Implementation(
        "td_depthwise_planes_s8_dsp",
        f"{in_h}x{in_w}x{in_c}_{kernel_h}x{kernel_w}_{op.multiplier}",
        {
            **requant_shape(op.requant),
            **channels.shape,
            "input_zero_point": op.input_zero_point,
            "channels": in_c,
            "multiplier": op.multiplier,
            "kernel_h": rows,
            "kernel_w": columns,
            "stride_h": strides[0],
            "stride_w": strides[1],
            "out_h": outputs[0],
            "out_w": outputs[1],
            # In pixels, from an output to the next and from a row of them to the next.
            "out_step": out_w if tall else 1,
            "out_row_step": 1 if tall else out_w,
            "shifted": shifted,
            "block": _BLOCK.get(strides[1], _OTHER_BLOCK),
            "plane_w": plane_w,
            "plane_bytes": plane_bytes,
            "plane_start": pads[0] * plane_w + pads[1],
            # A line of the input lies along a row of the plane, or across.
            "lines": in_h,
            "line_length": in_w,
            "line_step": in_w * in_c,
            "line_to": 1 if tall else plane_w,
            "value_to": plane_w if tall else 1,
        },
        (Constant("weights", "int8_t", np.ascontiguousarray(order).reshape(-1)), channels.constant),
        scratch_bytes=plane_bytes + 4 * filter_words,
        # A channel is read whole before its outputs are written, so all it takes is whole pixels between the two.
        overlap=Overlap(-in_h * in_w * in_c, multiple=in_c) if op.multiplier == 1 else None,
    )


def _even(size: int) -> int:
    return -(-size // 2) * 2
