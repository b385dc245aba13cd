"""Kernels for cores with the DSP extension (Cortex-M4, M7, M33): two multiply-accumulates per instruction.

What they share:

- Activations are widened to halfwords once per block of output pixels, and used for every output channel.
- Two output channels a and b share a weight halfword as 256 * a + b. With x the activations, SMLAD gives the sum of
  (256 a + b) x and, after SXTB16 has cut the halfword to b, the sum of b x; the difference is 256 times the sum of a x.
  Weights stay one byte each in flash and need one instruction per four of them.
- Input zero points are folded into the biases; positions outside the input read the zero point.
- Requantization is solved by `requant_solver` where it can be, else done in TFLM's own steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray, Multiplier, wrap_int32
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Overlap, Shape, requant_shape, window_shape
from tinydeploy.ops.add import LEFT_SHIFT, Add
from tinydeploy.ops.base import Requant
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.depthwise import DepthwiseConv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.requant_solver import accumulator_range, solve

# Output pixels per block: six accumulators, three activations and two weights fill the registers.
PIXELS = 3
# Words of weights written out before the inner loop turns: 17 instructions per two words against 2 per turn.
UNROLL_WORDS = 16


def conv(op: Conv2D, graph: Graph) -> Implementation | None:
    """Dense CONV_2D as a matrix product over patches."""
    if op.groups != 1 or op.window.dilation != (1, 1):
        return None
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    out_c, kernel_h, kernel_w, depth = op.weights.shape
    order = patch_order(kernel_h, kernel_w * depth)
    matrix = op.weights.reshape(out_c, -1)[:, order].astype(np.int64)
    packed = pack_pairs(matrix)
    if packed is None:
        return None
    bias = op.bias - op.input_zero_point * matrix.sum(axis=1)
    channels = requantize_channels(op.requant, matrix, bias)
    block = matrix_block(packed, channels, out_c, int(sizes["out_h"]) * int(sizes["out_w"]))
    pixels, words = block.pixels, packed.shape[1] // 2
    # A row of a patch that hangs over the input's edge is first completed here.
    edge_bytes = -(-kernel_w * depth // 4) * 4 if sizes["padded"] else 0
    return Implementation(
        "td_conv_s8_dsp",
        f"{sizes['in_h']}x{sizes['in_w']}x{sizes['in_c']}_{kernel_h}x{kernel_w}_{out_c}",
        {
            **sizes,
            **requant_shape(op.requant),
            **channels.shape,
            **block.shape,
            "run_bytes": kernel_w * depth,
            "input_zero_point": op.input_zero_point,
            "pointwise": op.window.is_pointwise,
            "patch_bytes": 4 * words * pixels,
        },
        block.constants,
        scratch_bytes=4 * words * pixels + edge_bytes,
        overlap=conv_overlap(op, graph, pixels),
    )


def fully_connected(op: FullyConnected, graph: Graph) -> Implementation | None:
    """FULLY_CONNECTED as a pointwise convolution over its rows."""
    out_c, depth = op.weights.shape
    order = patch_order(1, depth)
    matrix = op.weights[:, order].astype(np.int64)
    packed = pack_pairs(matrix)
    if packed is None:
        return None
    bias = op.bias - op.input_zero_point * matrix.sum(axis=1)
    channels = requantize_channels(op.requant, matrix, bias)
    block = matrix_block(packed, channels, out_c, op.rows)
    pixels, words = block.pixels, packed.shape[1] // 2
    return Implementation(
        "td_conv_s8_dsp",
        f"{op.rows}x{depth}_{out_c}",
        {
            **requant_shape(op.requant),
            **channels.shape,
            "out_h": 1,
            "out_w": op.rows,
            "in_c": depth,
            "out_c": out_c,
            "kernel_h": 1,
            "padded": False,
            **block.shape,
            "run_bytes": depth,
            "input_zero_point": op.input_zero_point,
            "pointwise": True,
            "patch_bytes": 4 * words * pixels,
        },
        block.constants,
        scratch_bytes=4 * words * pixels,
        # A single row is read whole before the first output.
        overlap=Overlap(-depth) if op.rows == 1 else pointwise_overlap(depth, out_c),
    )


def pointwise_overlap(depth: int, out_c: int) -> Overlap:
    """Pixels that shrink are written upwards, pixels that grow downwards: never past those still to be read."""
    return Overlap(0, descending=out_c > depth)


def conv_overlap(op: Conv2D, graph: Graph, pixels: int) -> Overlap:
    """How far ahead of its input an output must start: blocks of `pixels` are written after their patches are read."""
    _, _, in_w, in_c = graph.tensors[op.inputs[0]].shape
    _, out_h, out_w, out_c = graph.tensors[op.output].shape
    if op.window.is_pointwise:
        return pointwise_overlap(in_c, out_c)
    count = out_h * out_w
    rows, columns = np.divmod(np.arange(count), out_w)
    y = np.maximum(rows * op.window.stride[0] - op.window.pad[0], 0)
    x = np.maximum(columns * op.window.stride[1] - op.window.pad[1], 0)
    # The first byte that pixel n or any after it reads, and what is written once the block before n is done.
    needed = np.minimum.accumulate(((y * in_w + x) * in_c)[::-1])[::-1]
    starts = np.arange(pixels, count, pixels)
    return Overlap(int(np.max(starts * out_c - needed[starts], initial=-graph.tensors[op.inputs[0]].size_bytes)))


@dataclass(frozen=True, slots=True, eq=False)
class MatrixBlock:
    """How a matrix kernel's inner block runs: facts for its template, and its constants in order of use."""

    pixels: int
    shape: Shape
    constants: tuple[Constant, ...]


def matrix_block(packed: NDArray[np.int16], channels: Channels, out_c: int, pixels: int) -> MatrixBlock:
    """The block for `pixels` output pixels of `out_c` channels; in assembly where that covers the layer.

    A single pixel takes two pairs of channels at a time, so that its activations serve four channels.
    """
    words = packed.shape[1] // 2
    stream = packed.view(np.uint32)
    per_block = min(PIXELS, pixels)
    shape: dict[str, int | str | bool | tuple[int, ...]] = {
        "pixels": per_block,
        "words": words,
        "unroll_words": UNROLL_WORDS,
        "pairs": 1,
        "interleaved": False,
        "stream_words": 0,
    }
    # STRB reaches 4095 bytes from its base.
    if not channels.assembly or out_c % 2 or (PIXELS - 1) * out_c + 3 > 4095:
        weights = Constant("weights", "uint32_t", stream.reshape(-1))
        return MatrixBlock(per_block, shape, (weights, channels.constant))
    pairs = 2 if per_block == 1 and len(packed) % 2 == 0 else 1
    # Per group of pairs: each first channel's bias, 256 fold; for every two words those of each pair in turn; then each
    # pair's constants but for that bias.
    groups = len(packed) // pairs
    body = stream.reshape(groups, pairs, words // 2, 2).transpose(0, 2, 1, 3).reshape(groups, -1)
    table = channels.table.copy()
    table[0::2, 0] <<= 8 - channels.scale
    fields = (table & 0xFFFFFFFF).astype(np.uint32).reshape(groups, pairs, -1)
    joined = np.concatenate([fields[:, :, 0], body, fields[:, :, 1:].reshape(groups, -1)], axis=1)
    shape |= {"pairs": pairs, "interleaved": True, "stream_words": joined.size}
    return MatrixBlock(per_block, shape, (Constant("weights", "uint32_t", joined.reshape(-1)),))


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


def add(op: Add, graph: Graph) -> Implementation | None:
    """ADD of equal shapes: the operand with the larger scale is shifted only, the other comes from a table.

    TFLM brings an operand to the common scale with a multiplier and two roundings; the larger scale's multiplier is one
    half exactly, and an int8 has 256 cases.
    """
    half = Multiplier(1 << 30, 0)
    a, b = op.operands
    if a.tensor is None or b.tensor is None or a.shape != b.shape:
        return None
    # The shifted operand comes first.
    swap = a.multiplier != half
    shifted, tabled = (b, a) if swap else (a, b)
    right = -op.multiplier.shift
    if shifted.multiplier != half or not 1 <= right <= 22:
        return None
    q = np.arange(256, dtype=np.uint8).view(np.int8)
    # Doubled, as the rounding high multiplication wants its operand; the shifted operand's zero point is in the table.
    table = 2 * (tabled.scaled(q) - (shifted.zero_point << (LEFT_SHIFT - 1)))
    if 2 * np.abs(table).max() >= 1 << 31:
        return None
    elements = int(np.prod(a.shape))
    return Implementation(
        "td_add_s8_dsp",
        "x".join(str(size) for size in a.shape[1:]),
        {
            "elements": elements,
            "swap": swap,
            "mantissa": op.multiplier.mantissa,
            "offset": (1 << (right - 1)) + (op.output_zero_point << right),
            "shift": right,
            "act_min": op.act_min,
            "act_max": op.act_max,
        },
        (Constant("table", "int32_t", table),),
        in_place=True,
    )


def patch_order(rows: int, run_bytes: int) -> NDArray[np.int64]:
    """The order in which a patch of `rows` runs of bytes is widened, as indices into the patch.

    Four bytes at a time, SXTB16 takes bytes 0 and 2, then 1 and 3; what is left of each run follows at the end.
    """
    whole = run_bytes // 4 * 4
    body = [row * run_bytes + at + i for row in range(rows) for at in range(0, whole, 4) for i in (0, 2, 1, 3)]
    tail = [row * run_bytes + at for row in range(rows) for at in range(whole, run_bytes)]
    return np.array(body + tail, dtype=np.int64)


def pack_pairs(matrix: IntArray) -> NDArray[np.int16] | None:
    """Rows 2i and 2i + 1 of (channels, taps) as halfwords 256 * a + b, taps padded to a multiple of four with zeros.

    None where a halfword overflows (both weights at -128) or where 256 times a sum could leave 32 bits.
    """
    channels, taps = matrix.shape
    padded = np.zeros((channels + channels % 2, -(-taps // 4) * 4), np.int64)
    padded[:channels, :taps] = matrix
    pairs = 256 * padded[0::2] + padded[1::2]
    if pairs.min(initial=0) < -(1 << 15) or 128 * np.abs(matrix).sum(axis=1).max(initial=0) >= 1 << 23:
        return None
    return pairs.astype(np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """The cheapest exact requantization of a layer, as td_requantize_dsp.h names the forms.

    `table` has the C struct's fields for each channel; accumulators come to it multiplied by ``2**scale``. `assembly`
    says that the matrix block can take it: no clamp beyond int8, and the doubled sums of a pair fit 32 bits.
    """

    requant: Literal["fast", "right", "general"]
    scale: int
    shift: int
    table: IntArray
    assembly: bool

    @property
    def shape(self) -> dict[str, int | str | bool | tuple[int, ...]]:
        """What a template needs."""
        return {"requant": self.requant, "scale": self.scale, "shift": self.shift}

    @property
    def constant(self) -> Constant:
        """The table in flash; channels run in pairs, so an odd last one gets a dummy companion."""
        ctype = {"fast": "td_fast_channel", "right": "td_right_channel", "general": "td_channel"}[self.requant]
        odd = np.zeros((len(self.table) % 2, self.table.shape[1]), np.int64)
        return Constant("channels", ctype, np.concatenate([self.table, odd]))


def requantize_channels(requant: Requant, matrix: IntArray, bias: IntArray) -> Channels:
    """`matrix` is (channels, taps) and `bias` has the input's zero point folded in, so inputs lie in [-128, 127]."""
    least, most = accumulator_range(matrix, bias, -128, 127)
    reach = int(max(-least.min(), most.max()))
    natural = (requant.act_min, requant.act_max) == (-128, 127)
    solved = solve(requant, least, most)
    if solved is not None:
        table = np.stack([wrap_int32(bias << solved.scale), solved.factor, solved.offset], axis=1)
        return Channels("fast", solved.scale, solved.shift, table, natural and solved.scale == 8)
    right = -requant.shift
    offset = (np.int64(1) << np.maximum(right - 1, 0)) + (np.int64(requant.zero_point) << np.maximum(right, 0))
    if right.min() >= 1 and reach < 1 << 30 and np.abs(offset).max() < 1 << 30:
        table = np.stack([wrap_int32(2 * bias), requant.mantissa, offset, right], axis=1)
        return Channels("right", 1, 0, table, natural and reach < 1 << 23)
    table = np.stack([wrap_int32(bias), requant.mantissa, requant.shift], axis=1)
    return Channels("general", 0, 0, table, False)
