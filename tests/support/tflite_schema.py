"""The public TFLite schema (schema.fbs, version 3), as far as models of the tests need it: operator codes, enumerations
and each operator's builtin options with their field slots and union members."""

from __future__ import annotations

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
