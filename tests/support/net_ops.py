"""More operators for :class:`support.net.Net`: those that move elements, and element-wise ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from support import tflite_schema as schema
from support import tflite_writer as w
from support.net import Net
from support.tflite_schema import Activation, Code


def like(net: Net, x: int, shape: Sequence[int]) -> int:
    """A new activation with the quantization of `x`."""
    return net.activation(shape, net.scale(x), net.zero_point(x))


def numbers(net: Net, *values: int, dtype: str = "int32") -> int:
    """A constant vector."""
    return net.constant(np.array(values, dtype))


def scalar(net: Net, value: int) -> int:
    """A constant number."""
    return net.constant(np.array(value, np.int32))


def concatenate(net: Net, parts: Sequence[int], axis: int = -1, activation: Activation = Activation.NONE) -> int:
    """CONCATENATION of tensors of one quantization."""
    shape = list(net.shape(parts[0]))
    shape[axis] = sum(net.shape(part)[axis] for part in parts)
    out = like(net, parts[0], shape)
    net.op(Code.CONCATENATION, parts, [out], schema.Concatenation(axis, activation))
    return out


def pack(net: Net, parts: Sequence[int], axis: int) -> int:
    shape = list(net.shape(parts[0]))
    shape.insert(axis % (len(shape) + 1), len(parts))
    out = like(net, parts[0], shape)
    net.op(Code.PACK, parts, [out], schema.Pack(len(parts), axis))
    return out


def split(net: Net, x: int, count: int, axis: int = -1) -> list[int]:
    """SPLIT into equal parts."""
    shape = list(net.shape(x))
    shape[axis] //= count
    outs = [like(net, x, shape) for _ in range(count)]
    net.op(Code.SPLIT, [scalar(net, axis), x], outs, schema.Split(count))
    return outs


def split_v(net: Net, x: int, sizes: Sequence[int], axis: int = -1) -> list[int]:
    """SPLIT_V; a size of -1 is what is left."""
    outs = []
    for size in sizes:
        shape = list(net.shape(x))
        shape[axis] = size if size >= 0 else shape[axis] - sum(n for n in sizes if n >= 0)
        outs.append(like(net, x, shape))
    net.op(Code.SPLIT_V, [x, numbers(net, *sizes), scalar(net, axis)], outs, schema.SplitV(len(sizes)))
    return outs


def unpack(net: Net, x: int, axis: int) -> list[int]:
    shape = list(net.shape(x))
    count = shape.pop(axis)
    outs = [like(net, x, shape) for _ in range(count)]
    net.op(Code.UNPACK, [x], outs, schema.Unpack(count, axis))
    return outs


def take(net: Net, x: int, begins: Sequence[int], sizes: Sequence[int], dtype: str = "int32") -> int:
    """SLICE."""
    shape = [n - begin if size < 0 else size for n, begin, size in zip(net.shape(x), begins, sizes, strict=True)]
    out = like(net, x, shape)
    inputs = [x, numbers(net, *begins, dtype=dtype), numbers(net, *sizes, dtype=dtype)]
    net.op(Code.SLICE, inputs, [out], schema.Slice())
    return out


def strided(net: Net, x: int, *ranges: slice | int) -> int:
    """STRIDED_SLICE with numpy's meaning of ``x[ranges]``."""
    places: list[tuple[int, int, int]] = []
    masks = [0, 0, 0]
    for axis, part in enumerate(ranges):
        if isinstance(part, int):
            places.append((part, part + 1, 1))
            masks[2] |= 1 << axis
            continue
        places.append((part.start or 0, part.stop or 0, part.step or 1))
        masks[0] |= (part.start is None) << axis
        masks[1] |= (part.stop is None) << axis
    shape = np.empty(net.shape(x), np.int8)[tuple(ranges)].shape
    out = like(net, x, shape)
    inputs = [x, *(numbers(net, *column) for column in zip(*places, strict=True))]
    options = schema.StridedSlice(masks[0], masks[1], shrink_axis_mask=masks[2])
    net.op(Code.STRIDED_SLICE, inputs, [out], options)
    return out


def transpose(net: Net, x: int, order: Sequence[int]) -> int:
    out = like(net, x, [net.shape(x)[axis] for axis in order])
    net.op(Code.TRANSPOSE, [x, numbers(net, *order)], [out], schema.Transpose())
    return out


def shuffle(net: Net, x: int, groups: int) -> int:
    """A channel shuffle, as converters write it."""
    _, height, width, channels = net.shape(x)
    grouped = net.reshape(x, (1, height, width, groups, channels // groups))
    return net.reshape(transpose(net, grouped, (0, 1, 2, 4, 3)), (1, height, width, channels))


def resize(net: Net, x: int, size: tuple[int, int], corners: bool = False, centers: bool = False) -> int:
    out = like(net, x, (net.shape(x)[0], *size, net.shape(x)[3]))
    options = schema.ResizeNearestNeighbor(corners, centers)
    net.op(Code.RESIZE_NEAREST_NEIGHBOR, [x, numbers(net, *size)], [out], options)
    return out


def squeeze(net: Net, x: int, axes: Sequence[int]) -> int:
    shape = net.shape(x)
    gone = {axis % len(shape) for axis in axes} or {axis for axis, n in enumerate(shape) if n == 1}
    out = like(net, x, [n for axis, n in enumerate(shape) if axis not in gone])
    net.op(Code.SQUEEZE, [x], [out], schema.Squeeze(tuple(axes)))
    return out


def expand(net: Net, x: int, axis: int) -> int:
    shape = list(net.shape(x))
    shape.insert(axis % (len(shape) + 1), 1)
    out = like(net, x, shape)
    net.op(Code.EXPAND_DIMS, [x, scalar(net, axis)], [out], schema.ExpandDims())
    return out


def unary(
    net: Net, code: Code, x: int, scale: float | None = None, zero_point: int | None = None, alpha: float = 0.0
) -> int:
    """RELU, RELU6, LEAKY_RELU, HARD_SWISH, LOGISTIC or TANH; by default quantized as converters do."""
    fixed = {Code.LOGISTIC: (1 / 256, -128), Code.TANH: (1 / 128, 0), Code.RELU6: (net.scale(x), net.zero_point(x))}
    if code in fixed:
        scale, zero_point = fixed[code]
    options = {Code.LEAKY_RELU: schema.LeakyRelu(alpha), Code.HARD_SWISH: schema.HardSwish()}.get(code)
    out = net.activation(net.shape(x), scale if scale is not None else net.scale(x), zero_point)
    net.op(code, [x], [out], options)
    return out


def binary(
    net: Net,
    code: Code,
    a: int,
    b: int,
    activation: Activation = Activation.NONE,
    scale: float | None = None,
    zero_point: int | None = None,
) -> int:
    """ADD, SUB, MUL, MAXIMUM or MINIMUM, broadcast."""
    if code is Code.ADD:
        return net.add(a, b, activation, scale, zero_point)
    if scale is None:
        product = net.scale(a) * net.scale(b) * 100
        spread = product if code is Code.MUL else math.hypot(net.scale(a), net.scale(b))
        scale = spread * 2.0 ** float(net.rng.uniform(-1, 1))
    options = {Code.SUB: schema.Sub(activation), Code.MUL: schema.Mul(activation)}
    return net.broadcast(code, (a, b), options.get(code, schema.MaximumMinimum()), scale, zero_point)


def constant(net: Net, shape: Sequence[int], scale: float, zero_point: int = 0) -> int:
    """A random int8 constant."""
    data = net.rng.integers(-128, 128, tuple(shape)).astype(np.int8)
    return net.constant(data, w.Quant((float(np.float32(scale)),), (zero_point,)))
