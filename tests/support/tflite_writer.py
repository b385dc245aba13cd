"""Writes .tflite files from a few dataclasses, with the flatbuffers package and no TensorFlow.

Field slots, union members and operator codes are those of the public TFLite schema (schema.fbs, version 3). The writer
checks nothing: a test that wants a broken model gets one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar

import flatbuffers
import numpy as np
from numpy.typing import NDArray

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3

TENSOR_TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9}


class Code(IntEnum):
    """BuiltinOperator of the schema."""

    ADD = 0
    AVERAGE_POOL_2D = 1
    CONCATENATION = 2
    CONV_2D = 3
    DEPTHWISE_CONV_2D = 4
    DEQUANTIZE = 6
    FULLY_CONNECTED = 9
    LOGISTIC = 14
    MAX_POOL_2D = 17
    MUL = 18
    RELU = 19
    RELU6 = 21
    RESHAPE = 22
    SOFTMAX = 25
    TANH = 28
    PAD = 34
    TRANSPOSE = 39
    MEAN = 40
    SUB = 41
    SQUEEZE = 43
    STRIDED_SLICE = 45
    SPLIT = 49
    MAXIMUM = 55
    MINIMUM = 57
    PADV2 = 60
    SLICE = 65
    EXPAND_DIMS = 70
    SHAPE = 77
    PACK = 83
    UNPACK = 88
    RESIZE_NEAREST_NEIGHBOR = 97
    LEAKY_RELU = 98
    SPLIT_V = 102
    QUANTIZE = 114
    HARD_SWISH = 117


class Padding(IntEnum):
    SAME = 0
    VALID = 1


class Activation(IntEnum):
    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3


Field = tuple[int, str, Any]
"""(slot, flatbuffers type name or "vector", value); a value equal to the schema's default may be left out."""


@dataclass(frozen=True, slots=True)
class Options:
    """Builtin options of an operator: a table without fields unless a child says more."""

    union: ClassVar[int] = 0

    def fields(self) -> list[Field]:
        """The table's fields."""
        return []


@dataclass(frozen=True, slots=True)
class Conv2D(Options):
    """Strides and dilations are (height, width)."""

    union: ClassVar[int] = 1
    padding: Padding = Padding.SAME
    stride: tuple[int, int] = (1, 1)
    activation: Activation = Activation.NONE
    dilation: tuple[int, int] = (1, 1)

    def fields(self) -> list[Field]:
        return [
            (0, "Int8", self.padding),
            (1, "Int32", self.stride[1]),
            (2, "Int32", self.stride[0]),
            (3, "Int8", self.activation),
            (4, "Int32", self.dilation[1]),
            (5, "Int32", self.dilation[0]),
        ]


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D(Options):
    """Strides and dilations are (height, width)."""

    union: ClassVar[int] = 2
    padding: Padding = Padding.SAME
    stride: tuple[int, int] = (1, 1)
    depth_multiplier: int = 1
    activation: Activation = Activation.NONE
    dilation: tuple[int, int] = (1, 1)

    def fields(self) -> list[Field]:
        return [
            (0, "Int8", self.padding),
            (1, "Int32", self.stride[1]),
            (2, "Int32", self.stride[0]),
            (3, "Int32", self.depth_multiplier),
            (4, "Int8", self.activation),
            (5, "Int32", self.dilation[1]),
            (6, "Int32", self.dilation[0]),
        ]


@dataclass(frozen=True, slots=True)
class Pool2D(Options):
    """Strides and filter are (height, width)."""

    union: ClassVar[int] = 5
    padding: Padding = Padding.VALID
    stride: tuple[int, int] = (2, 2)
    filter: tuple[int, int] = (2, 2)
    activation: Activation = Activation.NONE

    def fields(self) -> list[Field]:
        return [
            (0, "Int8", self.padding),
            (1, "Int32", self.stride[1]),
            (2, "Int32", self.stride[0]),
            (3, "Int32", self.filter[1]),
            (4, "Int32", self.filter[0]),
            (5, "Int8", self.activation),
        ]


@dataclass(frozen=True, slots=True)
class FullyConnected(Options):
    union: ClassVar[int] = 8
    activation: Activation = Activation.NONE
    weights_format: int = 0
    keep_num_dims: bool = False

    def fields(self) -> list[Field]:
        return [(0, "Int8", self.activation), (1, "Int8", self.weights_format), (2, "Bool", self.keep_num_dims)]


@dataclass(frozen=True, slots=True)
class Softmax(Options):
    union: ClassVar[int] = 9
    beta: float = 1.0

    def fields(self) -> list[Field]:
        return [(0, "Float32", self.beta)]


@dataclass(frozen=True, slots=True)
class Concatenation(Options):
    union: ClassVar[int] = 10
    axis: int = 3
    activation: Activation = Activation.NONE

    def fields(self) -> list[Field]:
        return [(0, "Int32", self.axis), (1, "Int8", self.activation)]


@dataclass(frozen=True, slots=True)
class Add(Options):
    union: ClassVar[int] = 11
    activation: Activation = Activation.NONE

    def fields(self) -> list[Field]:
        return [(0, "Int8", self.activation)]


@dataclass(frozen=True, slots=True)
class Mul(Options):
    union: ClassVar[int] = 21
    activation: Activation = Activation.NONE

    def fields(self) -> list[Field]:
        return [(0, "Int8", self.activation)]


@dataclass(frozen=True, slots=True)
class Reshape(Options):
    union: ClassVar[int] = 17
    new_shape: tuple[int, ...] = ()

    def fields(self) -> list[Field]:
        return [(0, "vector", np.array(self.new_shape, np.int32))]


@dataclass(frozen=True, slots=True)
class Pad(Options):
    union: ClassVar[int] = 22


@dataclass(frozen=True, slots=True)
class PadV2(Options):
    union: ClassVar[int] = 43


@dataclass(frozen=True, slots=True)
class Transpose(Options):
    union: ClassVar[int] = 26


@dataclass(frozen=True, slots=True)
class Reducer(Options):
    union: ClassVar[int] = 27
    keep_dims: bool = False

    def fields(self) -> list[Field]:
        return [(0, "Bool", self.keep_dims)]


@dataclass(frozen=True, slots=True)
class StridedSlice(Options):
    union: ClassVar[int] = 32
    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0

    def fields(self) -> list[Field]:
        masks = (self.begin_mask, self.end_mask, self.ellipsis_mask, self.new_axis_mask, self.shrink_axis_mask)
        return [(slot, "Int32", mask) for slot, mask in enumerate(masks)]


@dataclass(frozen=True, slots=True)
class Split(Options):
    union: ClassVar[int] = 35
    num_splits: int = 2

    def fields(self) -> list[Field]:
        return [(0, "Int32", self.num_splits)]


@dataclass(frozen=True, slots=True)
class SplitV(Options):
    union: ClassVar[int] = 79
    num_splits: int = 2

    def fields(self) -> list[Field]:
        return [(0, "Int32", self.num_splits)]


@dataclass(frozen=True, slots=True)
class Sub(Options):
    union: ClassVar[int] = 28
    activation: Activation = Activation.NONE

    def fields(self) -> list[Field]:
        return [(0, "Int8", self.activation)]


@dataclass(frozen=True, slots=True)
class Squeeze(Options):
    union: ClassVar[int] = 30
    axes: tuple[int, ...] = ()

    def fields(self) -> list[Field]:
        return [(0, "vector", np.array(self.axes, np.int32))]


@dataclass(frozen=True, slots=True)
class MaximumMinimum(Options):
    union: ClassVar[int] = 39


@dataclass(frozen=True, slots=True)
class Slice(Options):
    union: ClassVar[int] = 48


@dataclass(frozen=True, slots=True)
class ExpandDims(Options):
    union: ClassVar[int] = 52


@dataclass(frozen=True, slots=True)
class Pack(Options):
    union: ClassVar[int] = 59
    count: int = 2
    axis: int = 0

    def fields(self) -> list[Field]:
        return [(0, "Int32", self.count), (1, "Int32", self.axis)]


@dataclass(frozen=True, slots=True)
class Unpack(Options):
    union: ClassVar[int] = 64
    count: int = 2
    axis: int = 0

    def fields(self) -> list[Field]:
        return [(0, "Int32", self.count), (1, "Int32", self.axis)]


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighbor(Options):
    union: ClassVar[int] = 74
    align_corners: bool = False
    half_pixel_centers: bool = False

    def fields(self) -> list[Field]:
        return [(0, "Bool", self.align_corners), (1, "Bool", self.half_pixel_centers)]


@dataclass(frozen=True, slots=True)
class LeakyRelu(Options):
    union: ClassVar[int] = 75
    alpha: float = 0.0

    def fields(self) -> list[Field]:
        return [(0, "Float32", self.alpha)]


@dataclass(frozen=True, slots=True)
class Dequantize(Options):
    union: ClassVar[int] = 38


@dataclass(frozen=True, slots=True)
class Quantize(Options):
    union: ClassVar[int] = 89


@dataclass(frozen=True, slots=True)
class HardSwish(Options):
    union: ClassVar[int] = 91


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
