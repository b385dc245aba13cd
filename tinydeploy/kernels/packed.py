"""Kernels for cores with a 32-bit multiplication and nothing wider (Cortex-M0+): every multiplication carries more.

- CONV_2D packs three pixels' activations into two words, which are multiplied by each weight: two multiplications for
  three products, and the sums come apart exactly at the end (td_conv_s8_packed.c.j2 says how).
- Weights stay one byte each, in the model's order; input zero points are folded into the biases, and positions outside
  the input read the zero point.
- FULLY_CONNECTED of one row has nothing to pack; it takes four channels at a time.
- Requantization is done in 32 bits, by `window`.

The inner blocks are assembly on Armv6-M, whose compilers leave the high registers unused, and the same in C elsewhere.
"""

from __future__ import annotations

import numpy as np

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Shape, window_shape
from tinydeploy.kernels.depthwise import depthwise_overlap
from tinydeploy.kernels.matrix import conv_overlap, pointwise_overlap
from tinydeploy.kernels.requantize32 import window_requant
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.depthwise import DepthwiseConv2D
from tinydeploy.ops.fully_connected import FullyConnected

# Three triples of pixels, two words each, fill the six high registers with sums.
PIXELS = 9
# The sums of a segment's first two pixels come from 21 bits, signed.
_SUM_LIMIT = 1 << 20


def conv(op: Conv2D, graph: Graph) -> Implementation | None:
    """Dense CONV_2D, three pixels to two words."""
    if op.groups != 1 or op.window.dilation != (1, 1):
        return None
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    matrix = op.weights.reshape(op.weights.shape[0], -1).astype(np.int64)
    requant = window_requant(op.requant, matrix, op.bias - op.input_zero_point * matrix.sum(axis=1))
    pixels, taps = int(sizes["out_h"]) * int(sizes["out_w"]), matrix.shape[1]
    block_words = _block_words(pixels)
    run_bytes = taps // int(sizes["kernel_h"])
    patch_bytes = 4 * taps * block_words[0]
    return Implementation(
        "td_conv_s8_packed",
        f"{sizes['in_h']}x{sizes['in_w']}x{sizes['in_c']}_{sizes['kernel_h']}x{sizes['kernel_w']}_{sizes['out_c']}",
        {
            **sizes,
            **requant.shape,
            "taps": taps,
            "segment_taps": _segment_taps(matrix),
            "block_words": block_words,
            "input_zero_point": op.input_zero_point,
            "pointwise": op.window.is_pointwise,
            "patch_bytes": patch_bytes,
        },
        (Constant("weights", "int8_t", op.weights.reshape(-1)), requant.constant),
        scratch_bytes=patch_bytes + (3 * run_bytes if sizes["padded"] else 0),
        overlap=conv_overlap(op, graph, PIXELS),
    )


def fully_connected(op: FullyConnected, graph: Graph) -> Implementation | None:
    """FULLY_CONNECTED: several rows as a pointwise convolution, a single one four channels at a time."""
    out_c, taps = op.weights.shape
    if op.rows == 1 and out_c < 4:
        return None
    matrix = op.weights.astype(np.int64)
    requant = window_requant(op.requant, matrix, op.bias - op.input_zero_point * matrix.sum(axis=1))
    constants = (Constant("weights", "int8_t", op.weights.reshape(-1)), requant.constant)
    shape: Shape = {**requant.shape, "taps": taps, "out_c": out_c}
    if op.rows == 1:
        return Implementation("td_fully_connected_s8_quad", f"{taps}_{out_c}", shape, constants)
    block_words = _block_words(op.rows)
    return Implementation(
        "td_conv_s8_packed",
        f"{op.rows}x{taps}_{out_c}",
        {
            **shape,
            "out_h": 1,
            "out_w": op.rows,
            "in_c": taps,
            "segment_taps": _segment_taps(matrix),
            "block_words": block_words,
            "pointwise": True,
        },
        constants,
        scratch_bytes=4 * taps * block_words[0],
        overlap=pointwise_overlap(taps, out_c),
    )


def depthwise(op: DepthwiseConv2D, graph: Graph) -> Implementation | None:
    """DEPTHWISE_CONV_2D with one filter per channel, by sliding columns."""
    kernel_h, kernel_w, channels = op.weights.shape
    if op.multiplier != 1 or op.window.dilation != (1, 1) or op.window.stride[1] > kernel_w or kernel_h * kernel_w > 49:
        return None
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    taps = op.weights.reshape(-1, channels).T.astype(np.int64)
    requant = window_requant(op.requant, taps, op.bias - op.input_zero_point * taps.sum(axis=1))
    # The line of zero points stands in for rows outside the input, read one channel at a time.
    pad_h, lowest = op.window.pad[0], (int(sizes["out_h"]) - 1) * op.window.stride[0] - op.window.pad[0] + kernel_h - 1
    line_bytes = int(sizes["in_w"]) * channels if pad_h > 0 or lowest >= int(sizes["in_h"]) else 0
    return Implementation(
        "td_depthwise_s8_window",
        f"{sizes['in_h']}x{sizes['in_w']}x{channels}_{kernel_h}x{kernel_w}",
        {**sizes, **requant.shape, "input_zero_point": op.input_zero_point, "line_bytes": line_bytes},
        (Constant("weights", "int8_t", op.weights.reshape(-1)), requant.constant),
        scratch_bytes=line_bytes,
        overlap=depthwise_overlap(op, graph),
    )


def _block_words(pixels: int) -> tuple[int, ...]:
    """Words a tap of each block size that runs, the largest first: two for every three pixels."""
    sizes = {min(pixels, PIXELS), pixels % PIXELS or PIXELS} if pixels >= PIXELS else {pixels}
    return tuple(sorted({-(-size // 3) * 2 for size in sizes}, reverse=True))


def _segment_taps(matrix: IntArray) -> int:
    """The longest stretches into which the taps can be cut without any channel's sum of products leaving its bits."""
    most = np.cumsum(np.maximum(127 * matrix, -128 * matrix), axis=1)
    least = np.cumsum(np.minimum(127 * matrix, -128 * matrix), axis=1)
    taps = matrix.shape[1]
    length, pieces = taps, 1
    while True:
        ends = np.array([*range(length, taps, length), taps]) - 1
        high, low = (np.diff(sums[:, ends], axis=1, prepend=0) for sums in (most, least))
        if np.all(high < _SUM_LIMIT) and np.all(low >= -_SUM_LIMIT):
            return length
        pieces += 1
        # Segments of whole fours run without a remainder; four products always fit.
        length = -(-taps // (4 * pieces)) * 4
