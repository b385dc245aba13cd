"""QUANTIZE and DEQUANTIZE: changes of scale or type, as at a model's edges.

With an 8-bit input there are only 256 cases, so the compiler tabulates them exactly; only float32 to int8 computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinydeploy.ops.base import Node, Op, Values

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class Lookup(Op):
    """An element-wise function of an 8-bit value; `table` is indexed by the value's byte (int8 -1 is entry 255)."""

    table: NDArray[Any]
    kind: str = "QUANTIZE"

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """Look every element up."""
        return self.table[values[self.inputs[0]].view(np.uint8)]


@dataclass(frozen=True, slots=True, eq=False)
class QuantizeFloat(Op):
    """float32 to int8: ``round(x / scale) + zero_point``, halves away from zero, saturated."""

    kind: ClassVar[str] = "QUANTIZE"

    scale: float
    zero_point: int

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """TFLM's AffineQuantize."""
        x = values[self.inputs[0]].astype(np.float32) / np.float32(self.scale)
        rounded = np.copysign(np.floor(np.abs(x.astype(np.float64)) + 0.5), x)
        return np.clip(rounded + self.zero_point, -128, 127).astype(np.int8)


def byte_values(dtype: str) -> NDArray[np.int64]:
    """The values of all 256 bytes as `dtype`."""
    values = np.arange(256, dtype=np.uint8)
    return (values.view(np.int8) if dtype == "int8" else values).astype(np.int64)


def read_quantize(node: Node) -> Op:
    """Read and check one QUANTIZE."""
    node.arity(1, 1)
    source, output = node.activation(0), node.output
    if output.dtype not in ("int8", "uint8") or source.shape != output.shape:
        node.unsupported(f"it makes {output.dtype} {output.shape} of {source.dtype} {source.shape}")
    node.quantized(output)
    quant = output.quantization
    if source.dtype == "float32" and output.dtype == "int8":
        return QuantizeFloat(node.name, node.index, (source.index,), output.index, quant.scale, quant.zero_point)
    if source.dtype not in ("int8", "uint8") or (source.dtype == output.dtype == "uint8"):
        node.unsupported(f"it makes {output.dtype} of {source.dtype}")
    node.quantized(source)
    ratio = source.quantization.scale / quant.scale
    if not ratio < 2.0**22:
        node.fail("its scales give a multiplier out of range")
    factor = quantize_multiplier(ratio)
    centred = byte_values(source.dtype) - source.quantization.zero_point
    scaled = multiply_by_quantized_multiplier(centred, factor.mantissa, factor.shift) + quant.zero_point
    low, high = (-128, 127) if output.dtype == "int8" else (0, 255)
    table = np.clip(scaled, low, high).astype(np.int8 if output.dtype == "int8" else np.uint8)
    return Lookup(node.name, node.index, (source.index,), output.index, table)


def read_dequantize(node: Node) -> Lookup:
    """Read and check one DEQUANTIZE: ``scale * (q - zero_point)`` in double precision, then rounded to float32."""
    node.arity(1, 1)
    source, output = node.activation(0), node.output
    if source.dtype not in ("int8", "uint8") or output.dtype != "float32" or source.shape != output.shape:
        node.unsupported(f"it makes {output.dtype} {output.shape} of {source.dtype} {source.shape}")
    node.quantized(source)
    quant = source.quantization
    table = (quant.scale * (byte_values(source.dtype) - quant.zero_point)).astype(np.float32)
    return Lookup(node.name, node.index, (source.index,), output.index, table, "DEQUANTIZE")
