"""CONV_2D and FULLY_CONNECTED for cores with the DSP extension (Cortex-M4, M7, M33), as a matrix product over patches.

- Activations are widened to halfwords once per block of output pixels, and used for every output channel.
- Two output channels a and b share a weight halfword as 256 * a + b. With x the activations, SMLAD gives the sum of
  (256 a + b) x and, after SXTB16 has cut the halfword to b, the sum of b x; the difference is 256 times the sum of a x.
  Weights stay one byte each in flash and need one instruction per four of them.
- Activations of short filters, and the first of long ones, stand in the FPU's registers for all channels of a block;
  weights of short filters are halfwords, so that nothing is cut or subtracted.
- In k x k windows the taps of a kernel row share the columns of a block's patch: an activation is loaded once per row.
- Input zero points are folded into the biases; positions outside the input read the zero point.
- Requantization is solved by `requant_solver` where it can be, else done in TFLM's own steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Overlap, Shape, integer, requant_shape, window_shape
from tinydeploy.kernels.channels import Channels, requantize_channels
from tinydeploy.kernels.matrix_form import (
    BALANCED,
    Choices,
    Cut,
    Taps,
    Weights,
    cut_row,
    in_assembly,
    pack_pairs,
    patch_order,
    shared_taps,
    stream,
    wide_stream,
    window_order,
)
from tinydeploy.kernels.matrix_gather import REACH_BYTES
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.fully_connected import FullyConnected


def conv(op: Conv2D, graph: Graph, choices: Choices = BALANCED) -> Implementation | None:
    """CONV_2D as a matrix product over patches; one with groups, as one on a slice of the channels for each."""
    if op.window.dilation != (1, 1):
        return None
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    out_h, out_w = sizes["out_h"], sizes["out_w"]
    kernel_h, kernel_w, depth = op.weights.shape[1:]
    stride_w, in_c = op.window.stride[1], depth * op.groups
    pointwise = op.window.is_pointwise
    # All pixels of a pointwise layer are one row.
    width = out_h * out_w if pointwise else out_w
    shared = shared_taps(kernel_w, stride_w, depth) if not pointwise else None
    made = _layer(op, op.groups, 1 if pointwise else out_h, width, stride_w * in_c, shared, choices, columns=out_w)
    if made is None:
        return None
    cut, shape, constants = made
    overlap: Overlap | None
    if pointwise:
        overlap = pointwise_overlap(in_c, len(op.weights))
    else:
        overlap = block_overlap(op, graph, list(accumulate(cut.blocks * out_h)))
    frame = _frame(op, sizes, cut, choices)
    if op.groups > 1:
        # Each group goes over all of the input again.
        overlap = None
    elif frame["framed"]:
        overlap = Overlap(-graph.tensors[op.inputs[0]].size_bytes)
    return Implementation(
        "td_conv_s8_dsp",
        f"{sizes['in_h']}x{sizes['in_w']}x{sizes['in_c']}_{kernel_h}x{kernel_w}_{len(op.weights)}",
        {**sizes, **shape, **frame, "pointwise": op.window.is_pointwise},
        constants,
        scratch_bytes=integer(shape, "patch_bytes") + int(frame["edge_bytes"]),
        overlap=overlap,
        sweeps=len(cut.blocks) * (1 if pointwise else out_h),
    )


def fully_connected(op: FullyConnected, graph: Graph, choices: Choices = BALANCED) -> Implementation | None:
    """FULLY_CONNECTED as a pointwise convolution over its rows."""
    out_c, depth = op.weights.shape
    made = _layer(op, 1, 1, op.rows, depth, None, choices, columns=op.rows)
    if made is None:
        return None
    cut, shape, constants = made
    return Implementation(
        "td_conv_s8_dsp",
        f"{op.rows}x{depth}_{out_c}",
        {
            "out_h": 1,
            "out_w": op.rows,
            "in_c": depth,
            "out_c": out_c,
            "kernel_h": 1,
            **shape,
            "padded": False,
            "framed": False,
            "pointwise": True,
        },
        constants,
        scratch_bytes=integer(shape, "patch_bytes"),
        # A single row is read whole before the first output.
        overlap=Overlap(-depth) if op.rows == 1 else pointwise_overlap(depth, out_c),
        sweeps=len(cut.blocks),
    )


def _layer(
    op: Conv2D | FullyConnected,
    groups: int,
    rows: int,
    width: int,
    step_bytes: int,
    shared: Taps | None,
    choices: Choices,
    *,
    columns: int,
) -> tuple[Cut, Shape, tuple[Constant, ...]] | None:
    """How a layer's `rows` rows of `width` pixels are cut, what the template must know, and constants; None where sums
    of pairs do not fit.

    Output pixels are `step_bytes` of input apart. `shared` are taps that may share columns. `columns` are the pixels of
    a row of the output; the form of the constants follows from them, and must not from the number of rows.
    """
    kernel_h, kernel_w, depth = (1, 1, *op.weights.shape[1:])[-3:]
    out_c = len(op.weights)
    matrix = op.weights.reshape(out_c, -1).astype(np.int64)
    bias = op.bias - op.input_zero_point * matrix.sum(axis=1)
    channels = requantize_channels(op.requant, matrix, bias)
    natural = (op.requant.act_min, op.requant.act_max) == (-128, 127)
    words = (depth * kernel_h * kernel_w + 1) // 2
    covered = in_assembly(channels, out_c, groups, natural)
    wide = covered and columns > 1 and words <= choices.wide_words
    # Narrow weights give sums with a scale of 8 for nothing.
    assembly = covered and (wide or channels.requant == "right" or channels.scale == 8)
    taps = shared if assembly and not wide else None
    if groups > 1 and (not assembly or (taps is None and kernel_w > 1)):
        return None
    if taps is not None:
        order, run_bytes = window_order(kernel_h, kernel_w, depth, taps), depth
    else:
        order, run_bytes = patch_order(kernel_h, kernel_w * depth), kernel_w * depth
    tile = _tile(
        channels,
        words,
        choices,
        columns=columns,
        wide=wide,
        quads=assembly and out_c % (4 * groups) == 0,
        plain=taps is None,
        near=3 * step_bytes + run_bytes <= REACH_BYTES,
    )
    cut = cut_row(width, tile.pixels)
    weights = _weights(matrix[:, order], channels, tile.pairs, groups, wide=wide, assembly=assembly)
    if weights is None:
        return None
    patch = taps or Taps(1, 1)
    units = words // len(patch.order)
    shape: Shape = {
        **requant_shape(op.requant),
        **channels.shape,
        **weights.shape,
        **_blocks(cut, tile, patch, choices, rows=rows, units=units, turns=out_c // (2 * tile.pairs * groups)),
        "run_bytes": run_bytes,
        "column_bytes": step_bytes if taps is None else depth * groups,
        "step_bytes": step_bytes,
        **({} if taps is None else {"kernel_w": kernel_w}),
        "interleaved": assembly,
        "groups": groups,
        "depth": depth,
        "input_zero_point": op.input_zero_point,
        "sizes": cut.sizes,
        "counts": cut.counts,
        "pairs": tile.pairs,
        "units": units,
        "single": choices.single_words,
        "unroll_fours": choices.unroll_fours,
        "patch_bytes": 4 * units * max(len(patch.columns(pixels)) for pixels in cut.sizes),
    }
    return cut, shape, weights.constants


def _weights(
    matrix: IntArray, channels: Channels, pairs: int, groups: int, *, wide: bool, assembly: bool
) -> Weights | None:
    """The constants of a layer whose weights (channels, taps) are in order of use; None where sums of pairs do not
    fit."""
    if wide:
        return wide_stream(matrix, channels, pairs, groups)
    packed = pack_pairs(matrix)
    if packed is None:
        return None
    if assembly:
        return stream(packed, channels, pairs, groups)
    return Weights({}, (Constant("weights", "uint32_t", packed.reshape(-1)), channels.constant))


def _blocks(cut: Cut, tile: Tile, patch: Taps, choices: Choices, *, rows: int, units: int, turns: int) -> Shape:
    """Of every size of block: the columns that it reads, and how far its loops are unrolled.

    `turns`: of the loop over channels; `units`: of each filter.
    """
    shape: dict[str, int | str | bool | tuple[int, ...]] = {}
    for pixels in cut.sizes:
        straight, unroll = choices.straight_words, choices.unroll_words
        if cut.few(pixels):
            straight = unroll = choices.rest_words
        elif rows * cut.counts[4 - pixels] * turns >= choices.often:
            straight = choices.often_words
        held = tile.held if pixels == tile.pixels else 0
        shape |= {
            f"columns{pixels}": patch.columns(pixels),
            f"slots{pixels}": patch.slots(pixels),
            f"straight{pixels}": straight // len(patch.order),
            f"unroll{pixels}": max(2, unroll // len(patch.order)),
            f"held{pixels}": held,
            # Only where the next channels need nothing again.
            f"repeats{pixels}": _repeats(turns, choices.turn_words // units) if held == units else 1,
        }
    return shape


def _repeats(turns: int, most: int) -> int:
    """The largest part of the turns, of at most `most`, that leaves none over."""
    return max(n for n in range(1, max(1, most) + 1) if turns % n == 0)


@dataclass(frozen=True, slots=True)
class Tile:
    """The outputs of a block: pixels by pairs of channels; `held` words of each pixel are in FP registers."""

    pixels: int
    pairs: int
    held: int = 0


def _tile(
    channels: Channels,
    words: int,
    choices: Choices,
    *,
    columns: int,
    wide: bool,
    quads: bool,
    plain: bool,
    near: bool,
) -> Tile:
    """The tile for filters of `words` words: as many sums as registers hold, eight, where the FPU's registers or long
    filters make up for the activations that are loaded one by one then; but three pixels where they leave no rest.

    `columns`: pixels of a row of the output; `quads`: channels come in fours; `plain`: taps share no columns; `near`:
    one load instruction reaches a block's pixels."""
    held = choices.held_words
    if columns == 1:
        return Tile(1, 2 if quads else 1)
    if channels.requant == "fast" and plain:
        if wide and near and 4 * words <= held:
            return Tile(4, 1, words)
        if columns == 3:
            return Tile(3, 1)
        if wide and near and quads and 2 * words <= held:
            return Tile(2, 2, words)
        if not wide and quads and words >= choices.four_words:
            return Tile(2, 2, min(words, held // 2))
    return Tile(3, 1)


def _frame(op: Conv2D, sizes: Mapping[str, int], cut: Cut, choices: Choices) -> dict[str, int | bool]:
    """How windows that leave the input get their bytes: from a padded copy of a small input, else from a copy of the
    block's patch."""
    if op.window.is_pointwise:
        return {"framed": False, "edge_bytes": 0}
    (kernel_h, kernel_w), (stride_h, stride_w) = op.window.kernel, op.window.stride
    in_c = sizes["in_c"]
    frame_h = (sizes["out_h"] - 1) * stride_h + kernel_h
    frame_w = (sizes["out_w"] - 1) * stride_w + kernel_w
    # In whole words, so that every row of a block's patch is aligned as the first.
    pitch = -(-((max(cut.sizes) - 1) * stride_w + kernel_w) * in_c // 4) * 4
    whole = frame_h * frame_w * in_c
    framed = bool(sizes["padded"]) and whole <= choices.copied_bytes
    edge = (whole if framed else kernel_h * pitch) if sizes["padded"] else 0
    found = {"framed": framed, "edge_bytes": -(-edge // 4) * 4, "edge_pitch": pitch}
    return found | ({"frame_h": frame_h, "frame_w": frame_w} if framed else {})


def pointwise_overlap(depth: int, out_c: int) -> Overlap:
    """Pixels that shrink are written upwards, pixels that grow downwards: never past those still to be read."""
    return Overlap(0, descending=out_c > depth)


def conv_overlap(op: Conv2D, graph: Graph, pixels: int) -> Overlap:
    """How far ahead of its input an output must start: blocks of `pixels` are written after their patches are read."""
    _, _, _, in_c = graph.tensors[op.inputs[0]].shape
    _, out_h, out_w, out_c = graph.tensors[op.output].shape
    if op.window.is_pointwise:
        return pointwise_overlap(in_c, out_c)
    return block_overlap(op, graph, range(pixels, out_h * out_w, pixels))


def block_overlap(op: Conv2D, graph: Graph, ends: Sequence[int]) -> Overlap:
    """The same where the blocks end at the pixels `ends`."""
    _, _, in_w, in_c = graph.tensors[op.inputs[0]].shape
    _, out_h, out_w, out_c = graph.tensors[op.output].shape
    count = out_h * out_w
    rows, columns = np.divmod(np.arange(count), out_w)
    y = np.maximum(rows * op.window.stride[0] - op.window.pad[0], 0)
    x = np.maximum(columns * op.window.stride[1] - op.window.pad[1], 0)
    # The first byte that pixel n or any after it reads, and what is written once the block before n is done.
    needed = np.minimum.accumulate(((y * in_w + x) * in_c)[::-1])[::-1]
    starts = np.array([end for end in ends if end < count], dtype=np.int64)
    return Overlap(int(np.max(starts * out_c - needed[starts], initial=-graph.tensors[op.inputs[0]].size_bytes)))
