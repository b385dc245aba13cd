"""AVERAGE_POOL_2D and MAX_POOL_2D: windows that count only the positions inside the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ops.base import Node, Op, Values, Window, four_dimensional, read_window
from tinydeploy.ops.convolution import patches

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class Pool2D(Op):
    """What the two pools share."""

    window: Window
    act_min: int
    act_max: int


class AveragePool2D(Pool2D):
    """The mean of each window, halves rounded away from zero."""

    __slots__ = ()
    kind: ClassVar[str] = "AVERAGE_POOL_2D"

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's AveragePool."""
        out = graph.tensors[self.output].shape
        x = values[self.inputs[0]][0].astype(np.int64)
        total = patches(x, self.window, (out[1], out[2]), 0).sum(axis=(2, 3))
        inside = patches(np.ones((*x.shape[:2], 1), np.int64), self.window, (out[1], out[2]), 0).sum(axis=(2, 3))
        magnitude = (np.abs(total) + inside // 2) // inside
        return np.clip(np.where(total > 0, magnitude, -magnitude), self.act_min, self.act_max).astype(np.int8)[None]


class MaxPool2D(Pool2D):
    """The largest value of each window."""

    __slots__ = ()
    kind: ClassVar[str] = "MAX_POOL_2D"

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's MaxPool."""
        out = graph.tensors[self.output].shape
        windows = patches(values[self.inputs[0]][0], self.window, (out[1], out[2]), -128)
        return np.clip(windows.max(axis=(2, 3)), self.act_min, self.act_max).astype(np.int8)[None]


def read(node: Node) -> Pool2D:
    """Read and check one pool."""
    node.arity(1, 1)
    source, output = node.activation(0), node.output
    four_dimensional(node, source, output)
    node.per_tensor_int8(source, output)
    if source.shape[3] != output.shape[3]:
        node.fail(f"{source.shape[3]} input channels, {output.shape[3]} output channels")
    a, b = source.quantization, output.quantization
    if abs(a.scale - b.scale) > 1e-6 or a.zero_point != b.zero_point:
        node.fail("input and output are quantized differently, which TFLite Micro refuses")
    window = read_window(
        node,
        source,
        (node.option(4, "i"), node.option(3, "i")),
        (node.option(2, "i"), node.option(1, "i")),
        (1, 1),
        node.option(0, "b"),
    )
    act_min, act_max = node.activation_range(node.option(5, "b"))
    kind = AveragePool2D if node.kind == "AVERAGE_POOL_2D" else MaxPool2D
    return kind(node.name, node.index, (source.index,), output.index, window, act_min, act_max)
