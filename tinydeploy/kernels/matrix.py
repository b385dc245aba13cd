"""CONV_2D and FULLY_CONNECTED for cores with the DSP extension (Cortex-M4, M7, M33), as a matrix product over patches.

- Activations are widened to halfwords once per block of output pixels, and used for every output channel.
- Two output channels a and b share a weight halfword as 256 * a + b. With x the activations, SMLAD gives the sum of
  (256 a + b) x and, after SXTB16 has cut the halfword to b, the sum of b x; the difference is 256 times the sum of a x.
  Weights stay one byte each in flash and need one instruction per four of them.
- Input zero points are folded into the biases; positions outside the input read the zero point.
- Requantization is solved by `requant_solver` where it can be, else done in TFLM's own steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Overlap, Shape, requant_shape, window_shape
from tinydeploy.kernels.channels import Channels, requantize_channels
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.fully_connected import FullyConnected

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
