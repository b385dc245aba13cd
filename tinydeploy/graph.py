"""The intermediate representation: tensors, operators and the graph, all frozen; and the invariants they keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tinydeploy.ops.base import Op

DType = Literal["int8", "uint8", "int16", "int32", "int64", "float32"]
NUMPY_DTYPES: Mapping[str, type] = {
    "int8": np.int8,
    "uint8": np.uint8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "float32": np.float32,
}


@dataclass(frozen=True, slots=True)
class Quant:
    """Affine quantization ``real = scale * (q - zero_point)``; one scale, or one per slice along `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def scale(self) -> float:
        """The one scale of a per-tensor quantized tensor."""
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The one zero point of a per-tensor quantized tensor."""
        return self.zero_points[0]


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of the model. `index` is its number in the .tflite; `data` is present for constants only.

    `channels`, where a pass removed some, sorted them or put one there twice, are the .tflite's, place by place.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: DType
    quant: Quant | None
    data: NDArray[np.generic] | None = None
    channels: tuple[int, ...] | None = None

    @property
    def elements(self) -> int:
        """How many elements the shape holds."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def size_bytes(self) -> int:
        """How many bytes the dense tensor takes."""
        return self.elements * int(np.dtype(NUMPY_DTYPES[self.dtype]).itemsize)

    @property
    def quantization(self) -> Quant:
        """The quantization of a tensor that has been checked to have one."""
        assert self.quant is not None
        return self.quant


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A model: operators in execution order over tensors keyed by their .tflite index; one input, one output."""

    name: str
    tensors: Mapping[int, Tensor]
    ops: tuple[Op, ...]
    input: int
    output: int
    sha256: str

    @property
    def macs(self) -> int:
        """Nominal multiply-accumulates of one inference."""
        return sum(op.macs(self) for op in self.ops)

    def consumers(self, tensor: int) -> list[Op]:
        """The operators that read `tensor`."""
        return [op for op in self.ops if tensor in op.inputs]


def verify(graph: Graph) -> Graph:
    """Assert what every pass may rely on; returns the graph. A failure is a bug of tinydeploy, not of the model."""
    produced = {graph.input}
    for op in graph.ops:
        for tensor in op.inputs:
            assert tensor in graph.tensors, f"{op.name}: unknown tensor {tensor}"
            assert tensor in produced, f"{op.name}: reads tensor {tensor} before it is written"
        assert op.output not in produced, f"{op.name}: tensor {op.output} is written twice"
        assert graph.tensors[op.output].data is None, f"{op.name}: writes a constant"
        produced.add(op.output)
    assert graph.output in produced, "the output is never written"
    return graph
