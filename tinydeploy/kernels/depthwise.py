"""DEPTHWISE_CONV_2D for cores with the DSP extension: one channel at a time, by columns that slide along a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Overlap, requant_shape, window_shape
from tinydeploy.kernels.channels import requantize_channels
from tinydeploy.ops.depthwise import DepthwiseConv2D


def depthwise3x3(op: DepthwiseConv2D, graph: Graph) -> Implementation | None:
    """3 x 3 DEPTHWISE_CONV_2D with one filter per channel and proved requantization, in assembly."""
    stride_h, stride_w = op.window.stride
    count = op.weights.shape[2]
    square = op.weights.shape[:2] == (3, 3) and stride_h in (1, 2) and stride_w in (1, 2)
    if not square or op.multiplier != 1 or op.window.dilation != (1, 1):
        return None
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    pad_h, out_h, in_h = op.window.pad[0], int(sizes["out_h"]), int(sizes["in_h"])
    row_bytes = int(sizes["in_w"]) * count
    below = (out_h - 1) * stride_h - pad_h + 3 - in_h
    # The first and the last output row may each miss one row of the input; offsets reach 4095 bytes.
    if pad_h > 1 or op.window.pad[1] > 1 or below > 1 or out_h < 2 or 3 * row_bytes > 4095:
        return None
    taps = op.weights.astype(np.int64)
    flat = taps.reshape(9, count).T
    bias = op.bias - op.input_zero_point * flat.sum(axis=1)
    channels = requantize_channels(op.requant, flat, bias)
    scaled = taps << channels.scale
    if channels.requant != "fast" or not channels.assembly or scaled.max(initial=0) >= 1 << 15:
        return None
    start, factor, offset = channels.table.T
    # Without a row, its zero points' products are part of the bias.
    first_bias = start + op.input_zero_point * scaled[0].sum(axis=0)
    last_bias = start + op.input_zero_point * scaled[2].sum(axis=0)

    def pair(low: IntArray, high: IntArray) -> IntArray:
        return (low & 0xFFFF) | (high & 0xFFFF) << 16

    none = np.zeros(count, np.int64)
    words = [
        *(pair(scaled[0, k], scaled[1, k]) for k in range(3)),
        pair(scaled[2, 0], scaled[2, 1]),
        pair(none, scaled[2, 2]),
        start,
        factor,
        offset,
        first_bias,
        last_bias,
    ]
    top, bottom = pad_h > 0, below > 0
    kept = 10 if bottom else 9 if top else 8
    table = (np.stack(words[:kept], axis=1) & 0xFFFFFFFF).astype(np.uint32)
    return Implementation(
        "td_depthwise3x3_s8_dsp",
        f"{in_h}x{sizes['in_w']}x{count}",
        {
            **sizes,
            **channels.shape,
            "input_zero_point": op.input_zero_point,
            "top": top,
            "bottom": bottom,
            "channel_words": kept,
        },
        (Constant("channels", "uint32_t", table.reshape(-1)),),
        overlap=depthwise_overlap(op, graph),
    )


def depthwise(op: DepthwiseConv2D, graph: Graph) -> Implementation | None:
    """DEPTHWISE_CONV_2D with one filter per channel, by sliding columns."""
    kernel_h, kernel_w, channels_count = op.weights.shape
    if op.multiplier != 1 or op.window.dilation != (1, 1) or op.window.stride[1] > kernel_w or kernel_h * kernel_w > 49:
        return None
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    taps = op.weights.reshape(-1, channels_count).T.astype(np.int64)
    bias = op.bias - op.input_zero_point * taps.sum(axis=1)
    channels = requantize_channels(op.requant, taps, bias)
    scaled = op.weights.astype(np.int64) << channels.scale
    if np.abs(scaled).max(initial=0) > 1 << 15 or scaled.max(initial=0) == 1 << 15:
        return None
    # The line of zero points stands in for rows outside the input, read one channel at a time.
    pad_h, lowest = op.window.pad[0], (int(sizes["out_h"]) - 1) * op.window.stride[0] - op.window.pad[0] + kernel_h - 1
    line_bytes = int(sizes["in_w"]) * channels_count if pad_h > 0 or lowest >= int(sizes["in_h"]) else 0
    return Implementation(
        "td_depthwise_s8_dsp",
        f"{sizes['in_h']}x{sizes['in_w']}x{channels_count}_{kernel_h}x{kernel_w}",
        {
            **sizes,
            **requant_shape(op.requant),
            **channels.shape,
            "input_zero_point": op.input_zero_point,
            "line_bytes": line_bytes,
        },
        (Constant("weights", "uint32_t", pack_columns(scaled)), channels.constant),
        scratch_bytes=line_bytes,
        overlap=depthwise_overlap(op, graph),
    )


def depthwise_overlap(op: DepthwiseConv2D, graph: Graph) -> Overlap | None:
    """One channel after the other, so bytes of other channels must keep their places: whole pixels apart. Within a
    channel an output is written once the columns up to its window's last are read, rows from the top."""
    _, in_h, in_w, in_c = graph.tensors[op.inputs[0]].shape
    _, out_h, out_w, _ = graph.tensors[op.output].shape
    kernel_w, (stride_h, stride_w), (pad_h, pad_w) = op.window.kernel[1], op.window.stride, op.window.pad
    count = out_h * out_w
    rows, columns = np.divmod(np.arange(count), out_w)
    # Once output n is written, its row's windows still need what lies right of its own last column, from their first
    # row on; the next row's windows need all of theirs.
    same_row = np.maximum(rows * stride_h - pad_h, 0) * in_w + columns * stride_w - pad_w + kernel_w
    next_row = np.maximum((rows + 1) * stride_h - pad_h, 0) * in_w
    at_end = columns == out_w - 1
    needed = np.where(at_end, next_row, np.minimum(same_row, next_row))
    needed = np.where((rows == out_h - 1) & at_end, in_h * in_w, needed)
    return Overlap(int(np.max(np.arange(1, count + 1) - needed)) * in_c, multiple=in_c)


def pack_columns(weights: IntArray) -> NDArray[np.uint32]:
    """(kernel h, kernel w, channels) to words per channel: for each kernel column its rows two by two, then the odd
    last row's weights two columns to a word."""
    kernel_h, kernel_w, _ = weights.shape
    words = []
    for column in range(kernel_w):
        for row in range(0, kernel_h - 1, 2):
            words.append((weights[row, column] & 0xFFFF) | (weights[row + 1, column] & 0xFFFF) << 16)
    if kernel_h % 2:
        last = weights[kernel_h - 1]
        for column in range(0, kernel_w, 2):
            high = last[column + 1] if column + 1 < kernel_w else np.zeros_like(last[column])
            words.append((last[column] & 0xFFFF) | (high & 0xFFFF) << 16)
    return np.stack(words, axis=1).astype(np.uint32).reshape(-1)
