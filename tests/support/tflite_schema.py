"""The public TFLite schema (schema.fbs, version 3), as far as models of the tests need it: operator codes, enumerations
and each operator's builtin options, in the order of their field slots, with their union members."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

import numpy as np

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


class WeightsFormat(IntEnum):
    """FullyConnectedOptionsWeightsFormat of the schema."""

    DEFAULT = 0


Field = tuple[int, str, Any]
"""(slot, flatbuffers type name or "vector", value); a value equal to the schema's default may be left out."""

# By the type of an option: its flatbuffers type name.
_TYPES = {
    "Padding": "Int8",
    "Activation": "Int8",
    "WeightsFormat": "Int8",
    "int": "Int32",
    "bool": "Bool",
    "float": "Float32",
}


@dataclass(frozen=True, slots=True)
class Options:
    """Builtin options of an operator: a table without fields unless a child says more."""

    union: ClassVar[int] = 0

    def fields(self) -> list[Field]:
        """The table's fields: the dataclass's own, in their order; of a (height, width) the width comes first."""
        found: list[tuple[str, Any]] = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type == "tuple[int, int]":
                found += [("Int32", value[1]), ("Int32", value[0])]
            elif field.type == "tuple[int, ...]":
                found.append(("vector", np.array(value, np.int32)))
            else:
                found.append((_TYPES[str(field.type)], value))
        return [(slot, kind, value) for slot, (kind, value) in enumerate(found)]


@dataclass(frozen=True, slots=True)
class Conv2D(Options):
    """Strides and dilations are (height, width)."""

    union: ClassVar[int] = 1
    padding: Padding = Padding.SAME
    stride: tuple[int, int] = (1, 1)
    activation: Activation = Activation.NONE
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D(Options):
    """Strides and dilations are (height, width)."""

    union: ClassVar[int] = 2
    padding: Padding = Padding.SAME
    stride: tuple[int, int] = (1, 1)
    depth_multiplier: int = 1
    activation: Activation = Activation.NONE
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class Pool2D(Options):
    """Strides and filter are (height, width)."""

    union: ClassVar[int] = 5
    padding: Padding = Padding.VALID
    stride: tuple[int, int] = (2, 2)
    filter: tuple[int, int] = (2, 2)
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class FullyConnected(Options):
    union: ClassVar[int] = 8
    activation: Activation = Activation.NONE
    weights_format: WeightsFormat = WeightsFormat.DEFAULT
    keep_num_dims: bool = False


@dataclass(frozen=True, slots=True)
class Softmax(Options):
    union: ClassVar[int] = 9
    beta: float = 1.0


@dataclass(frozen=True, slots=True)
class Concatenation(Options):
    union: ClassVar[int] = 10
    axis: int = 3
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Add(Options):
    union: ClassVar[int] = 11
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Mul(Options):
    union: ClassVar[int] = 21
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Reshape(Options):
    union: ClassVar[int] = 17
    new_shape: tuple[int, ...] = ()


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


@dataclass(frozen=True, slots=True)
class StridedSlice(Options):
    union: ClassVar[int] = 32
    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0


@dataclass(frozen=True, slots=True)
class Split(Options):
    union: ClassVar[int] = 35
    num_splits: int = 2


@dataclass(frozen=True, slots=True)
class SplitV(Options):
    union: ClassVar[int] = 79
    num_splits: int = 2


@dataclass(frozen=True, slots=True)
class Sub(Options):
    union: ClassVar[int] = 28
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Squeeze(Options):
    union: ClassVar[int] = 30
    axes: tuple[int, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Unpack(Options):
    union: ClassVar[int] = 64
    count: int = 2
    axis: int = 0


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighbor(Options):
    union: ClassVar[int] = 74
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True, slots=True)
class LeakyRelu(Options):
    union: ClassVar[int] = 75
    alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class Dequantize(Options):
    union: ClassVar[int] = 38


@dataclass(frozen=True, slots=True)
class Quantize(Options):
    union: ClassVar[int] = 89


@dataclass(frozen=True, slots=True)
class HardSwish(Options):
    union: ClassVar[int] = 91
