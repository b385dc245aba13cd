"""CONV_2D and FULLY_CONNECTED for cores with MVE, as a matrix product over patches.

- VMLADAVA.S8 adds sixteen products to a general-purpose register. Eight registers take four output pixels by two output
  channels: six loads for eight of them, or 128 products.
- The patches of a block of pixels lie side by side in chunks of sixteen taps, chunk by chunk, so one pointer serves
  all. They are copies, so outputs may lie over an input that has been gathered.
- Weights, biases, mantissas and shifts come in exact order of use, as one stream.
- Each kernel row begins a chunk, filled up with weights of 0; where that would take more chunks, rows follow each other
  without a gap.
- Input zero points are folded into the biases; positions outside the input read the zero point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Overlap, window_shape
from tinydeploy.kernels.matrix import conv_overlap, pointwise_overlap
from tinydeploy.kernels.mve import VectorRequant, vector_requant
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.fully_connected import FullyConnected

PIXELS = 4
_LANES = 16
# The scatter store's offsets are halfwords without a sign.
_MOST_CHANNELS = 65535 // PIXELS


def conv(op: Conv2D, graph: Graph) -> Implementation | None:
    """CONV_2D without groups or dilation."""
    if op.groups != 1 or op.window.dilation != (1, 1):
        return None
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    kernel_h, kernel_w = op.window.kernel
    return _implementation(
        op,
        f"{sizes['in_h']}x{sizes['in_w']}x{sizes['in_c']}_{kernel_h}x{kernel_w}_{sizes['out_c']}",
        {**sizes, "pointwise": op.window.is_pointwise},
        conv_overlap(op, graph, PIXELS),
    )


def fully_connected(op: FullyConnected, graph: Graph) -> Implementation | None:
    """FULLY_CONNECTED as a pointwise convolution over its rows."""
    out_c, depth = op.weights.shape
    return _implementation(
        op,
        f"{op.rows}x{depth}_{out_c}",
        {"out_h": 1, "out_w": op.rows, "in_c": depth, "out_c": out_c, "padded": False, "pointwise": True},
        Overlap(-depth) if op.rows == 1 else pointwise_overlap(depth, out_c),
    )


def _implementation(
    op: Conv2D | FullyConnected, label: str, sizes: dict[str, int | bool], overlap: Overlap
) -> Implementation | None:
    """The layer of these sizes; None where it has no requantization in vectors."""
    out_c = len(op.weights)
    rows = op.weights.reshape(out_c, op.weights.shape[1] if op.weights.ndim == 4 else 1, -1).astype(np.int64)
    matrix = rows.reshape(out_c, -1)
    requant = vector_requant(op.requant, matrix, op.bias - op.input_zero_point * matrix.sum(axis=1))
    if requant is None or out_c > _MOST_CHANNELS:
        return None
    apart = -(-rows.shape[2] // _LANES) * _LANES
    if -(-matrix.shape[1] // _LANES) * _LANES < rows.shape[1] * apart:
        apart = rows.shape[2]
    pieces = _pieces(rows.shape[1], rows.shape[2], apart)
    packed = _packed(rows, pieces)
    chunks = packed.shape[1]
    pixels = int(sizes["out_h"]) * int(sizes["out_w"])
    patch_bytes = _LANES * chunks * min(pixels, PIXELS)
    return Implementation(
        "td_conv_s8_mve",
        label,
        {
            **sizes,
            **requant.shape,
            "sizes": tuple(size for size in (min(pixels // PIXELS, 1) * PIXELS, pixels % PIXELS) if size),
            "pixels": pixels,
            "chunks": chunks,
            "pieces": tuple(number for piece in pieces for number in piece),
            "patch_bytes": patch_bytes,
            "input_zero_point": op.input_zero_point,
        },
        (Constant("weights", "uint32_t", _stream(packed, requant)),),
        scratch_bytes=patch_bytes + (matrix.shape[1] if sizes["padded"] else 0),
        overlap=overlap,
    )


class _Piece(NamedTuple):
    """Neighbouring taps of a kernel row that stay neighbours in a chunk: `size` of `row` from `start` on come to place
    `to` of `chunk`."""

    row: int
    start: int
    chunk: int
    to: int
    size: int


def _pieces(rows: int, run: int, apart: int) -> list[_Piece]:
    """Where the taps of `rows` rows of `run` go that begin `apart` taps from each other."""
    found = []
    for row in range(rows):
        at = 0
        while at < run:
            chunk, to = divmod(row * apart + at, _LANES)
            size = min(_LANES - to, run - at)
            found.append(_Piece(row, at, chunk, to, size))
            at += size
    return found


def _packed(rows: IntArray, pieces: Sequence[_Piece]) -> NDArray[np.int8]:
    """Weights (channels, rows, taps) as (channels, chunks, 16), zeros where there is no tap."""
    packed = np.zeros((len(rows), pieces[-1].chunk + 1, _LANES), np.int8)
    for row, start, chunk, to, size in pieces:
        packed[:, chunk, to : to + size] = rows[:, row, start : start + size]
    return packed


def _stream(packed: NDArray[np.int8], requant: VectorRequant) -> NDArray[np.uint32]:
    """First the offsets of a block's outputs as eight halfwords (four pixels by two channels), the number of pairs of
    channels and the output's zero point. Then for each pair, chunk by chunk, the weights of both channels, and both
    rows of `requant.table`; an odd last channel is alone."""
    channels, chunks, _ = packed.shape
    pairs = channels // 2
    offsets = np.add.outer(np.arange(PIXELS) * channels, [0, 1]).astype(np.uint16).view(np.uint32)
    head = _words(np.array([pairs, requant.zero_point], np.int64))
    weights, table = packed.view(np.uint32), _words(requant.table)
    turns = weights[: 2 * pairs].reshape(pairs, 2, chunks, 4).transpose(0, 2, 1, 3).reshape(pairs, 8 * chunks)
    both = np.concatenate([turns, table[: 2 * pairs].reshape(pairs, 6)], axis=1)
    last = (weights[2 * pairs :], table[2 * pairs :])
    return np.concatenate([part.reshape(-1) for part in (offsets, head, both, *last)])


def _words(values: IntArray) -> NDArray[np.uint32]:
    return (values & 0xFFFFFFFF).astype(np.uint32)
