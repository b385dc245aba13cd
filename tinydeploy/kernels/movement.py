"""Kernels that move elements, in portable C: what one walk, one concatenation or one resize comes down to."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Overlap
from tinydeploy.ops.concatenation import Concatenation
from tinydeploy.ops.gather import ChannelGather, Run
from tinydeploy.ops.movement import Move, Walk, walk
from tinydeploy.ops.resize import ResizeNearest

# Copies that are written out for a pixel; more take a table.
_MOST_RUNS = 32
# Loops around a pixel's channels that are still better than a table.
_MOST_LOOPS = 3


def move(op: Move, graph: Graph) -> Implementation:
    """Slices and transpositions: loops over the walk's dimensions, runs of neighbours copied at once."""
    return _walked(op.walk)


def _walked(found: Walk) -> Implementation:
    sizes, steps = list(found.sizes), list(found.steps)
    run = sizes.pop() if steps and steps[-1] == 1 else 1
    outer = tuple(zip(sizes, steps[: len(sizes)], strict=True))
    return Implementation(
        "td_move_s8",
        "x".join(str(size) for size in found.sizes) or "1",
        {
            "start": found.start,
            "sizes": tuple(size for size, _ in outer),
            "steps": tuple(step for _, step in outer),
            "run": run,
        },
    )


def gather(op: ChannelGather, graph: Graph) -> Implementation:
    """Channels pixel by pixel: runs copied one by one, or a shuffle's regular steps as a walk."""
    depths = tuple(graph.tensors[tensor].shape[-1] for tensor in op.inputs)
    pixels = graph.tensors[op.output].elements // len(op.taken)
    runs = op.runs
    loops = regular_steps(op.taken[:, 1])
    if len(op.inputs) == 1 and loops and len(loops[0]) <= _MOST_LOOPS and 4 * len(runs) > len(op.taken):
        (sizes, steps), start = loops, int(op.taken[0, 1])
        walked = _walked(walk(start, (pixels, *sizes), (depths[0], *steps)))
        return replace(walked, overlap=gather_overlap(op, pixels, depths[0]))
    table = len(runs) > _MOST_RUNS
    if table:
        # Channels of one input that follow each other share a loop over the table.
        groups = itertools.groupby(op.taken[:, 0].tolist())
        runs = tuple(Run(source, 0, len(list(group))) for source, group in groups)
    return Implementation(
        "td_channel_gather_s8",
        f"{pixels}x{len(op.taken)}",
        {
            "pixels": pixels,
            "channels": len(op.taken),
            "depths": depths,
            "table": table,
            "sources": tuple(run.source for run in runs),
            "firsts": tuple(run.first for run in runs),
            "counts": tuple(run.count for run in runs),
        },
        (Constant("table", "int16_t", op.taken[:, 1]),) if table else (),
        overlap=gather_overlap(op, pixels, depths[0]),
    )


def gather_overlap(op: ChannelGather, pixels: int, first_depth: int) -> Overlap:
    """A pixel is written before its own channels of the first input begin, so all before it are read."""
    lowest = int(op.taken[op.taken[:, 0] == 0, 1].min())
    width = len(op.taken)
    # Distances change evenly from pixel to pixel: the first or the last is the closest.
    return Overlap(max((n + 1) * width - n * first_depth for n in (0, pixels - 1)) - lowest)


def regular_steps(numbers: IntArray) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Sizes and steps of nested loops that make `numbers`, less the first of them; the outermost comes first. None
    where nothing repeats."""
    if len(numbers) == 1:
        return (), ()
    differences = np.diff(numbers)
    same = int(np.argmax(differences != differences[0])) if (differences != differences[0]).any() else len(differences)
    for size in range(same + 1, 1, -1):
        if len(numbers) % size:
            continue
        rows = numbers.reshape(-1, size)
        if (rows - rows[:, :1] == np.arange(size) * differences[0]).all():
            outer = regular_steps(rows[:, 0])
            return outer and ((*outer[0], size), (*outer[1], int(differences[0])))
    return None


def concatenate(op: Concatenation, graph: Graph) -> Implementation:
    """CONCATENATION and PACK by copies of blocks."""
    return Implementation(
        "td_concatenation_s8",
        "_".join(str(n) for n in (op.outer, *op.parts)),
        {"outer": op.outer, "parts": op.parts},
    )


def resize_nearest(op: ResizeNearest, graph: Graph) -> Implementation:
    """RESIZE_NEAREST_NEIGHBOR by copies of pixels; a row equal to the one above is copied whole."""
    _, height, width, depth = graph.tensors[op.inputs[0]].shape
    offsets = (np.array(op.rows) * width * depth, np.array(op.columns) * depth)
    return Implementation(
        "td_resize_nearest_s8",
        f"{height}x{width}x{depth}_{len(op.rows)}x{len(op.columns)}",
        {"rows": len(op.rows), "columns": len(op.columns), "depth": depth},
        (Constant("rows", "int32_t", offsets[0]), Constant("columns", "int32_t", offsets[1])),
    )
