"""RESIZE_NEAREST_NEIGHBOR: every output pixel is the input pixel whose place is nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ops.base import Node, Op, Values, four_dimensional

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class ResizeNearest(Op):
    """`rows` and `columns` are the input's for each of the output's."""

    kind: ClassVar[str] = "RESIZE_NEAREST_NEIGHBOR"

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """Take whole pixels."""
        return values[self.inputs[0]][:, np.array(self.rows)[:, None], np.array(self.columns)]


def nearest(size: int, new_size: int, align_corners: bool, half_pixel_centers: bool) -> tuple[int, ...]:
    """For each of `new_size` positions the nearest of `size`, in TFLM's single precision (GetNearestNeighbor)."""
    if align_corners and new_size > 1:
        scale = np.float32(size - 1) / np.float32(new_size - 1)
    else:
        scale = np.float32(size) / np.float32(new_size)
    offset = np.float32(0.5 if half_pixel_centers else 0.0)
    places = ((np.arange(new_size, dtype=np.float32) + offset) * scale).astype(np.float64)
    whole = np.floor(places + 0.5) if align_corners else np.floor(places)
    return tuple(int(place) for place in np.clip(whole, 0, size - 1))


def read(node: Node) -> ResizeNearest:
    """Read and check one RESIZE_NEAREST_NEIGHBOR."""
    node.arity(2, 2)
    source, size, output = node.activation(0), node.constant(1), node.output
    four_dimensional(node, source, output)
    node.per_tensor_int8(source, output)
    if size.dtype != "int32" or size.data is None or size.shape != (2,):
        node.fail("its size is not two int32 numbers")
    height, width = (int(number) for number in size.data.reshape(-1))
    if output.shape != (1, height, width, source.shape[3]):
        node.fail(f"{source.shape} at the size of {height} x {width} is not {output.shape}")
    corners, centers = bool(node.option(0, "b")), bool(node.option(1, "b"))
    return ResizeNearest(
        node.name,
        node.index,
        (source.index,),
        output.index,
        rows=nearest(source.shape[1], height, corners, centers),
        columns=nearest(source.shape[2], width, corners, centers),
    )
