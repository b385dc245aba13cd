"""DEPTHWISE_CONV_2D for cores with MVE: each channel as a plane of bytes, windows up to 3 x 3 as patches of 4 x 4.

A gather of eight halfwords brings four rows of four neighbours into one vector; VMLADAV multiplies it by the nine
weights. With stride 1 a patch holds four windows, so the weights stand in four vectors, each moved by a column or a row
against the others, and a patch gives two columns of two rows of outputs. With stride 2 it gives one output.

A channel is copied to its plane before any of its outputs is written; around it lie the input's zero points, so no
window leaves the plane.
"""

from __future__ import annotations

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


def depthwise(op: DepthwiseConv2D, graph: Graph) -> Implementation | None:
    """One filter up to 3 x 3 per channel, stride 1 or 2."""
    kernel_h, kernel_w, count = op.weights.shape
    stride, stride_w = op.window.stride
    if op.multiplier != 1 or op.window.dilation != (1, 1) or max(kernel_h, kernel_w) > 3 or stride != stride_w:
        return None
    taps = op.weights.reshape(-1, count).T.astype(np.int64)
    requant = vector_requant(op.requant, taps, op.bias - op.input_zero_point * taps.sum(axis=1))
    if requant is None or stride > 2:
        return None
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    in_h, in_w, out_h, out_w, pad_h, pad_w = (
        int(sizes[key]) for key in ("in_h", "in_w", "out_h", "out_w", "pad_h", "pad_w")
    )
    rows = 2 if stride == 1 and out_h > 1 else 1
    # Windows are 3 x 3; patches are 4 wide and as high as their rows of windows need. The gather wants even rows.
    plane_h = max((out_h - 1) * stride + 3, pad_h + in_h)
    columns = -(-out_w // 2) * 2 if stride == 1 else 2 * out_w
    pitch = -(-max(columns + 2, pad_w + in_w) // 2) * 2
    gathered = np.add.outer(np.minimum(np.arange(4), rows + 1) * pitch, [0, 2])
    copied = np.arange(8) * count
    stored = np.add.outer(np.arange(4) * count, [0, out_w * count]) if rows == 2 else copied
    plane_bytes = -(-plane_h * pitch // 8) * 8
    reach = max(int(gathered.max()), int(stored.max()), 3 * 8 * count)
    if (
        reach >= _HALFWORD
        or in_w > _MOST_COLUMNS
        or plane_bytes > max(_PLANE_BYTES, in_h * in_w * count // _PLANE_SHARE)
    ):
        return None
    window = np.zeros((3, 4, count), np.int64)
    window[:kernel_h, :kernel_w] = op.weights
    weights = np.ascontiguousarray(window.reshape(12, count).T.astype(np.int8)).view(np.uint32)
    constants = np.concatenate([weights, (requant.table & 0xFFFFFFFF).astype(np.uint32)], axis=1)
    head = np.concatenate([gathered.reshape(-1), stored.reshape(-1), copied]).astype(np.uint16).view(np.uint32)
    return Implementation(
        "td_depthwise_s8_mve",
        f"{in_h}x{in_w}x{count}_{kernel_h}x{kernel_w}",
        {
            **sizes,
            **requant.shape,
            "zero_point": requant.zero_point,
            "input_zero_point": op.input_zero_point,
            "rows": rows,
            "pitch": pitch,
            "plane_bytes": plane_bytes,
        },
        (Constant("channels", "uint32_t", np.concatenate([head, constants.reshape(-1)])),),
        scratch_bytes=plane_bytes,
        overlap=Overlap(-in_h * in_w * count, multiple=count),
    )
