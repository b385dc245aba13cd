"""DEPTHWISE_CONV_2D for cores with MVE: each channel as a plane of bytes, windows up to 3 x 3 as patches of 4 x 4.

A gather of eight halfwords brings four rows of four neighbours into one vector; VMLADAV multiplies it by the nine
weights. With stride 1 a patch holds four windows, so the weights stand in four vectors, each moved by a column or a row
against the others, and a patch gives two columns of two rows of outputs. With stride 2 it gives one output.

A channel is copied to its plane before any of its outputs is written; around it lie the input's zero points, so no
window leaves the plane. The copy may be turned, so that rows of the plane are the longer side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Overlap, window_shape
from tinydeploy.kernels.mve import vector_requant
from tinydeploy.ops.depthwise import DepthwiseConv2D

# A plane may take this much, or this part of the input's bytes.
_PLANE_BYTES, _PLANE_SHARE = 4096, 4
# Rows longer than this make the copy's code long.
_MOST_COLUMNS = 256
_HALFWORD = 1 << 16


class _Side(NamedTuple):
    """Height or width: inputs, outputs, padding before the first input, bytes from an input to the next, pixels from an
    output to the next."""

    inputs: int
    outputs: int
    pad: int
    input_step: int
    output_pixels: int


def depthwise(op: DepthwiseConv2D, graph: Graph) -> Implementation | None:
    """DEPTHWISE_CONV_2D with one filter up to 3 x 3 per channel and stride 1 or 2; None for any other."""
    kernel_h, kernel_w, count = op.weights.shape
    stride = op.window.stride[0]
    if op.multiplier != 1 or op.window.dilation != (1, 1) or max(kernel_h, kernel_w) > 3:
        return None
    taps = op.weights.reshape(-1, count).T.astype(np.int64)
    requant = vector_requant(op.requant, taps, op.bias - op.input_zero_point * taps.sum(axis=1))
    if requant is None or stride > 2 or op.window.stride[1] != stride:
        return None
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    in_h, in_w, out_h, out_w = (int(sizes[key]) for key in ("in_h", "in_w", "out_h", "out_w"))
    height = _Side(in_h, out_h, op.window.pad[0], in_w * count, out_w)
    width = _Side(in_w, out_w, op.window.pad[1], count, 1)
    turned = _blocks(width, height, stride) < _blocks(height, width, stride)
    down, along = (width, height) if turned else (height, width)
    rows = _rows_at_once(down, stride)
    # Windows are 3 x 3; patches are 4 wide and as high as their rows of windows need. The gather wants even rows.
    plane_h = max((down.outputs - 1) * stride + 3, down.pad + down.inputs)
    columns = -(-along.outputs // 2) * 2 if stride == 1 else 2 * along.outputs
    pitch = -(-max(columns + 2, along.pad + along.inputs) // 2) * 2
    gathered = np.add.outer(np.minimum(np.arange(4), rows + 1) * pitch, [0, 2])
    stored = np.add.outer(np.arange(8 // rows) * along.output_pixels, np.arange(rows) * down.output_pixels) * count
    copied = np.arange(8) * along.input_step
    plane_bytes = -(-plane_h * pitch // 8) * 8
    reach = max(int(gathered.max()), int(stored.max()), 24 * along.input_step)
    room_bytes = max(_PLANE_BYTES, in_h * in_w * count // _PLANE_SHARE)
    if reach >= _HALFWORD or along.inputs > _MOST_COLUMNS or plane_bytes > room_bytes:
        return None
    window = np.zeros((3, 4, count), np.int8)
    window[: kernel_w if turned else kernel_h, : kernel_h if turned else kernel_w] = (
        op.weights.transpose(1, 0, 2) if turned else op.weights
    )
    weights = np.ascontiguousarray(window.reshape(12, count).T).view(np.uint32)
    constants = np.concatenate([weights, (requant.table & 0xFFFFFFFF).astype(np.uint32)], axis=1)
    head = np.concatenate([each.reshape(-1) for each in (gathered, stored, copied)]).astype(np.uint16).view(np.uint32)
    return Implementation(
        "td_depthwise_s8_mve",
        f"{in_h}x{in_w}x{count}_{kernel_h}x{kernel_w}",
        {
            **requant.shape,
            "zero_point": requant.zero_point,
            "input_zero_point": op.input_zero_point,
            "channels": count,
            "stride": stride,
            "down": tuple(down),
            "along": tuple(along),
            "rows": rows,
            "pitch": pitch,
            "plane_bytes": plane_bytes,
        },
        (Constant("channels", "uint32_t", np.concatenate([head, constants.reshape(-1)])),),
        scratch_bytes=plane_bytes,
        overlap=Overlap(-in_h * in_w * count, multiple=count),
    )


def _rows_at_once(down: _Side, stride: int) -> int:
    """Rows of outputs that a patch gives."""
    return 2 if stride == 1 and down.outputs > 1 else 1


def _blocks(down: _Side, along: _Side, stride: int) -> int:
    """How often eight outputs, or what is left of them, are requantized."""
    rows = _rows_at_once(down, stride)
    return -(-down.outputs // rows) * -(-along.outputs * rows // 8)
