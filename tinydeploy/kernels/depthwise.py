"""DEPTHWISE_CONV_2D for cores with the DSP extension: one channel at a time, by columns that slide along a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Overlap, requant_shape, window_shape
from tinydeploy.kernels.channels import Channels, requantize_channels
from tinydeploy.ops.depthwise import DepthwiseConv2D

# Loads reach this far from their base; a row of outputs loads from three rows, and moves on by a few columns.
_REACH_BYTES = 4095
# Up to this height, rows that miss one of the input's have code of their own.
_LOW = 12


def depthwise3x3(op: DepthwiseConv2D, graph: Graph) -> Implementation | None:
    """DEPTHWISE_CONV_2D up to 3 x 3 with one filter per channel, in assembly; smaller windows get weights of 0."""
    stride_h, stride_w = op.window.stride
    kernel_h, kernel_w, count = op.weights.shape
    small = max(kernel_h, kernel_w) <= 3 <= kernel_h * kernel_w
    square = small and stride_h in (1, 2) and stride_w in (1, 2)
    natural = (op.requant.act_min, op.requant.act_max) == (-128, 127)
    if not square or not natural or op.multiplier != 1 or op.window.dilation != (1, 1):
        return None
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    in_h, in_w, out_h, out_w = (int(sizes[key]) for key in ("in_h", "in_w", "out_h", "out_w"))
    # A single row or column of weights becomes the middle one.
    shift_h, shift_w = int(kernel_h == 1), int(kernel_w == 1)
    pad_h, pad_w = op.window.pad[0] + shift_h, op.window.pad[1] + shift_w
    below = (out_h - 1) * stride_h - pad_h + 3 - in_h
    right = (out_w - 1) * stride_w - pad_w + 3 - in_w
    # An output may miss one row and one column of the input, and only the first and last ones do.
    if max(pad_h, pad_w, below, right) > 1 or in_w < 2 or in_h < 2 or pad_h + max(below, 0) > out_h:
        return None
    window = np.zeros((3, 3, count), np.int64)
    window[shift_h : shift_h + kernel_h, shift_w : shift_w + kernel_w] = op.weights
    weights = window.reshape(9, count).T
    channels = requantize_channels(op.requant, weights, op.bias - op.input_zero_point * weights.sum(axis=1))
    form = _assembly_form(op, channels, weights)
    row_bytes = in_w * count
    wide = 2 * row_bytes + 3 * count > _REACH_BYTES
    if form is None or 4 * count > _REACH_BYTES or (wide and form.shift_loads):
        return None
    two_rows = out_h <= _LOW or in_h < 3
    middle = out_h - pad_h - max(below, 0)
    return Implementation(
        "td_depthwise3x3_s8_dsp",
        f"{in_h}x{in_w}x{count}",
        {
            **sizes,
            "kernel_h": 3,
            "kernel_w": 3,
            "pad_h": pad_h,
            "pad_w": pad_w,
            "requant": channels.requant,
            "scale": channels.scale,
            "shift": form.shift,
            "offset": form.offset,
            "zero_point": op.requant.zero_point if channels.requant == "right" else 0,
            "input_zero_point": op.input_zero_point,
            "two_rows": two_rows,
            # Two biases more per group of rows, two constant columns less per row.
            "folded": not two_rows or middle > 2,
            "wide": wide,
            "bias_loads": wide or form.shift_loads,
        },
        (Constant("channels", "uint32_t", form.words.reshape(-1)),),
        overlap=depthwise_overlap(op, graph),
    )


@dataclass(frozen=True, slots=True, eq=False)
class AssemblyForm:
    """A layer's constants as the assembly wants them, five words per channel, and its immediate operands; a shift of 0
    says that each channel has its own."""

    words: NDArray[np.uint32]
    shift: int
    offset: int

    @property
    def shift_loads(self) -> bool:
        """Whether a register holds each channel's shift, so that its bias stays in memory."""
        return self.shift == 0


def _assembly_form(op: DepthwiseConv2D, channels: Channels, weights: IntArray) -> AssemblyForm | None:
    """`weights` is (channels, 9). None for the general requantization, which has no assembly."""
    start, factor = channels.table[:, 0], channels.table[:, 1]
    if channels.requant == "fast" and channels.shift:
        assert channels.common_offset is not None
        shifts = np.zeros_like(start)
        return AssemblyForm(_window_words(start, weights, shifts, factor), channels.shift, channels.common_offset)
    if channels.requant != "right":
        return None
    offset, shifts = channels.table[:, 2], channels.table[:, 3]
    # The zero point is an immediate operand: a constant channel gets there from a bias without weights.
    constant = factor == 0
    live = set(shifts[~constant].tolist())
    common = live.pop() if len(live) == 1 and max(live) < 20 else 0
    held = common or 1
    steps = (offset >> shifts) - op.requant.zero_point
    start = np.where(constant, steps << (held + 2), start)
    words = _window_words(
        start,
        np.where(constant[:, None], 0, weights),
        np.where(constant, held, shifts),
        np.where(constant, 1 << 30, factor),
    )
    return AssemblyForm(words, common, 0)


def _window_words(bias: IntArray, weights: IntArray, shifts: IntArray, factor: IntArray) -> NDArray[np.uint32]:
    """Bias, nine weights and a shift in bytes, factor."""
    w, none = weights.T, np.zeros_like(bias)

    def word(*lanes: IntArray) -> IntArray:
        return np.sum([(lane & 0xFF) << 8 * at for at, lane in enumerate(lanes)], axis=0)

    words = (
        bias,
        word(w[0], w[1], w[3], w[4]),
        word(w[2], w[6], w[5], w[7]),
        word(shifts, w[7], none, w[8]),
        factor,
    )
    return (np.stack(words, axis=1) & 0xFFFFFFFF).astype(np.uint32)


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
