"""What is legal in an int8 model and yet a sign that its training or its export went wrong."""

from __future__ import annotations

import numpy as np

from tinydeploy.graph import Graph, Tensor
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.depthwise import DepthwiseConv2D
from tinydeploy.ops.fully_connected import FullyConnected

# Trained networks stay above 1e-5; weights that never left their initial values fall to 1e-8 when they are calibrated.
SMALLEST_SCALE = 1e-7


def lint(graph: Graph) -> tuple[str, ...]:
    """One sentence for each doubtful thing; empty for a sound model.

    Operators that cannot be compiled (SHAPE, PACK, STRIDED_SLICE of a free batch dimension, float32 layers) never get
    here: ``tflite.read_model`` refuses them.
    """
    return (*_edges(graph), *_scales(graph), *_silent_channels(graph))


def _edges(graph: Graph) -> list[str]:
    return [
        f"{what} is {tensor.dtype}: the device converts it on every inference; export with int8 input and output"
        for what, tensor in (("the input", graph.tensors[graph.input]), ("the output", graph.tensors[graph.output]))
        if tensor.dtype == "float32"
    ]


def _scales(graph: Graph) -> list[str]:
    return [
        f"tensor {tensor.index} ({tensor.name.split(';')[0]}) has the scale {min(tensor.quantization.scales):.1e}, "
        "which only values near zero would need; train the model before quantizing it"
        for tensor in graph.tensors.values()
        if _degenerate(tensor)
    ]


def _degenerate(tensor: Tensor) -> bool:
    # A bias has the product of two scales, which may well be that small.
    return tensor.dtype == "int8" and tensor.quant is not None and min(tensor.quant.scales) < SMALLEST_SCALE


def _silent_channels(graph: Graph) -> list[str]:
    """Channels whose weights are all zero, or scaled to nothing: they give the same output whatever the input."""
    sentences = []
    for op in graph.ops:
        if not isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected):
            continue
        axis = op.weights.ndim - 1 if isinstance(op, DepthwiseConv2D) else 0
        others = tuple(i for i in range(op.weights.ndim) if i != axis)
        used = np.any(op.weights != 0, axis=others) & np.broadcast_to(op.requant.mantissa != 0, op.weights.shape[axis])
        if not used.all():
            silent = int(np.count_nonzero(~used))
            sentences.append(f"{op.name}: {silent} of {used.size} output channels do not depend on the input")
    return sentences
