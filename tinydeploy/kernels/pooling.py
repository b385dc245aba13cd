"""AVERAGE_POOL_2D and MAX_POOL_2D for cores with the DSP extension, four channels in a word."""

from __future__ import annotations

import numpy as np

from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Implementation, Overlap, window_shape
from tinydeploy.ops.pool import AveragePool2D, Pool2D

# Sums of this many int8 values fit a halfword.
_MOST_TAPS = 256


def pool(op: Pool2D, graph: Graph) -> Implementation | None:
    """Both pools; None where a mean's sum leaves a halfword, or where no word of channels is whole."""
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    kernel_h, kernel_w = op.window.kernel
    average = isinstance(op, AveragePool2D)
    if (average and kernel_h * kernel_w > _MOST_TAPS) or int(sizes["in_c"]) < 4:
        return None
    fits = kernel_h <= int(sizes["in_h"]) and kernel_w <= int(sizes["in_w"])
    return Implementation(
        "td_pool_s8_dsp",
        f"{'average' if average else 'max'}_{sizes['in_h']}x{sizes['in_w']}x{sizes['in_c']}",
        {
            **sizes,
            "average": average,
            "act_min": op.act_min,
            "act_max": op.act_max,
            # Which windows there are: inside the input, and cut by its edges.
            "forms": tuple(inside for inside in (True, False) if (fits if inside else sizes["padded"])),
        },
        overlap=pool_overlap(op, graph),
    )


def pool_overlap(op: Pool2D, graph: Graph) -> Overlap:
    """A pixel is written while its own window is read, so it ends before that begins, as do all before it."""
    _, _, in_w, in_c = graph.tensors[op.inputs[0]].shape
    _, out_h, out_w, _ = graph.tensors[op.output].shape
    count = out_h * out_w
    rows, columns = np.divmod(np.arange(count), out_w)
    y = np.maximum(rows * op.window.stride[0] - op.window.pad[0], 0)
    x = np.maximum(columns * op.window.stride[1] - op.window.pad[1], 0)
    needed = np.minimum.accumulate(((y * in_w + x) * in_c)[::-1])[::-1]
    return Overlap(int(np.max(np.arange(1, count + 1) * in_c - needed)))
