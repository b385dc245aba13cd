"""Kernels that move elements, in portable C: what one walk, one concatenation or one resize comes down to."""

from __future__ import annotations

import numpy as np

from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation
from tinydeploy.ops.concatenation import Concatenation
from tinydeploy.ops.movement import Move
from tinydeploy.ops.resize import ResizeNearest


def move(op: Move, graph: Graph) -> Implementation:
    """Slices and transpositions: loops over the walk's dimensions, runs of neighbours copied at once."""
    sizes, steps = list(op.walk.sizes), list(op.walk.steps)
    run = sizes.pop() if steps and steps[-1] == 1 else 1
    outer = tuple(zip(sizes, steps[: len(sizes)], strict=True))
    return Implementation(
        "td_move_s8",
        "x".join(str(size) for size in op.walk.sizes) or "1",
        {
            "start": op.walk.start,
            "sizes": tuple(size for size, _ in outer),
            "steps": tuple(step for _, step in outer),
            "run": run,
        },
    )


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
