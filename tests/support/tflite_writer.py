"""Writes .tflite files from a few dataclasses, with the flatbuffers package and no TensorFlow.

Field slots of tensors, operators and models are those of the public TFLite schema, as `tflite_schema` has those of
options. The writer checks nothing: a test that wants a broken model gets one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from support.tflite_schema import FILE_IDENTIFIER, SCHEMA_VERSION, TENSOR_TYPES, Code, Field, Options


@dataclass(frozen=True, slots=True)
class Quant:
    """real = scale * (stored - zero_point); one entry per tensor, or one per channel along `dimension`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    dimension: int = 0


@dataclass(frozen=True, slots=True)
class Tensor:
    """An activation, or a constant when `data` is given."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    quant: Quant | None = None
    data: NDArray[Any] | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Op:
    """Inputs and outputs are tensor indices; -1 marks an optional input that is left out."""

    code: Code
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options | None = None


@dataclass(slots=True)
class Model:
    """A model of one subgraph."""

    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    description: str = "tinydeploy test"

    def to_bytes(self) -> bytes:
        """The .tflite file; the same model gives the same bytes."""
        builder = flatbuffers.Builder(1024)
        codes = sorted({op.code for op in self.ops})
        operators = _offsets(builder, [_operator(builder, op, codes.index(op.code)) for op in self.ops])
        # Buffer 0 is, by the format's rule, the empty one that activations share.
        buffers = [_table(builder, [])]
        tensors = []
        for i, tensor in enumerate(self.tensors):
            index = 0
            if tensor.data is not None:
                index = len(buffers)
                buffers.append(_buffer(builder, tensor.data))
            tensors.append(_tensor(builder, tensor, index, tensor.name or f"t{i}"))
        subgraph = _table(
            builder,
            [
                (0, "UOffsetTRelative", _offsets(builder, tensors)),
                (1, "vector", np.array(self.inputs, np.int32)),
                (2, "vector", np.array(self.outputs, np.int32)),
                (3, "UOffsetTRelative", operators),
                (4, "UOffsetTRelative", builder.CreateString("main")),
            ],
        )
        code_tables = [
            _table(builder, [(0, "Int8", min(c, 127)), (2, "Int32", 1), (3, "Int32", int(c))]) for c in codes
        ]
        model = _table(
            builder,
            [
                (0, "Uint32", SCHEMA_VERSION),
                (1, "UOffsetTRelative", _offsets(builder, code_tables)),
                (2, "UOffsetTRelative", _offsets(builder, [subgraph])),
                (3, "UOffsetTRelative", builder.CreateString(self.description)),
                (4, "UOffsetTRelative", _offsets(builder, buffers)),
            ],
        )
        builder.Finish(model, FILE_IDENTIFIER)
        return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, fields: Sequence[Field]) -> int:
    """Write a table; vectors are written before it, as flatbuffers wants."""
    ready = [
        (slot, "UOffsetTRelative", builder.CreateNumpyVector(value)) if kind == "vector" else (slot, kind, value)
        for slot, kind, value in fields
    ]
    builder.StartObject(max((slot for slot, _, _ in ready), default=-1) + 1)
    for slot, kind, value in ready:
        # A default that no value equals makes flatbuffers write every field, which readers must take too.
        getattr(builder, f"Prepend{kind}Slot")(slot, value, 0 if kind == "UOffsetTRelative" else None)
    return int(builder.EndObject())


def _offsets(builder: flatbuffers.Builder, tables: Sequence[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _buffer(builder: flatbuffers.Builder, data: NDArray[Any]) -> int:
    raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    builder.StartVector(1, len(raw), 16)  # TFLM wants constants aligned to 16 bytes
    builder.head -= len(raw)
    builder.Bytes[builder.head : builder.head + len(raw)] = raw.tobytes()
    vector = builder.EndVector()
    return _table(builder, [(0, "UOffsetTRelative", vector)])


def _tensor(builder: flatbuffers.Builder, tensor: Tensor, buffer: int, name: str) -> int:
    fields: list[Field] = [
        (0, "vector", np.array(tensor.shape, np.int32)),
        (1, "Int8", TENSOR_TYPES[tensor.dtype]),
        (2, "Uint32", buffer),
        (3, "UOffsetTRelative", builder.CreateString(name)),
    ]
    if tensor.quant is not None:
        quant: list[Field] = [
            (2, "vector", np.array(tensor.quant.scales, np.float32)),
            (3, "vector", np.array(tensor.quant.zero_points, np.int64)),
            (6, "Int32", tensor.quant.dimension),
        ]
        fields.append((4, "UOffsetTRelative", _table(builder, quant)))
    return _table(builder, fields)


def _operator(builder: flatbuffers.Builder, op: Op, code_index: int) -> int:
    fields: list[Field] = [
        (0, "Uint32", code_index),
        (1, "vector", np.array(op.inputs, np.int32)),
        (2, "vector", np.array(op.outputs, np.int32)),
    ]
    if op.options is not None:
        fields += [
            (3, "Uint8", op.options.union),
            (4, "UOffsetTRelative", _table(builder, op.options.fields())),
        ]
    return _table(builder, fields)
