"""Builds quantized models op by op: shapes are inferred, weights and scales are drawn so that outputs spread out.

Every method takes tensor indices and returns the index of its output. What is not given is drawn from the net's own
seeded generator, so the same calls give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from support import tflite_schema as schema
from support import tflite_writer as w
from support.tflite_schema import Activation, Code, Padding

Pair = tuple[int, int]
Bias = Literal["random", "none", "high", "low", "zero"]
Weights = Literal["random", "extreme", "sparse", "small", "plus127", "minus128"]

INT32_MAX = 2**31 - 1
_INPUT_SPREAD = 74.0  # standard deviation of a uniform int8
_OUTPUT_SPREAD = 50.0  # aimed at, so that both clamps are touched and most values are not clamped


class Net:
    """A model under construction. `model` is the result; call :meth:`done` with its outputs."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.model = w.Model()

    def done(self, *outputs: int) -> bytes:
        """The .tflite bytes with these outputs."""
        self.model.outputs = list(outputs)
        return self.model.to_bytes()

    def input(self, shape: Sequence[int], scale: float | None = None, zero_point: int | None = None) -> int:
        index = self.activation(shape, scale, zero_point)
        self.model.inputs.append(index)
        return index

    def float_input(self, shape: Sequence[int]) -> int:
        index = self.tensor(w.Tensor(tuple(shape), "float32"))
        self.model.inputs.append(index)
        return index

    def tensor(self, tensor: w.Tensor) -> int:
        self.model.tensors.append(tensor)
        return len(self.model.tensors) - 1

    def activation(
        self, shape: Sequence[int], scale: float | None = None, zero_point: int | None = None, dtype: str = "int8"
    ) -> int:
        if scale is None:
            scale = float(np.float32(2.0 ** self.rng.uniform(-8, -3)))
        if zero_point is None:
            zero_point = int(self.rng.integers(-128, 128)) if dtype == "int8" else int(self.rng.integers(0, 256))
        return self.tensor(w.Tensor(tuple(int(n) for n in shape), dtype, w.Quant((scale,), (zero_point,))))

    def constant(self, data: NDArray[Any], quant: w.Quant | None = None) -> int:
        return self.tensor(w.Tensor(data.shape, str(data.dtype), quant, data))

    def op(self, code: Code, inputs: Sequence[int], outputs: Sequence[int], options: schema.Options | None) -> None:
        self.model.ops.append(w.Op(code, tuple(inputs), tuple(outputs), options))

    def shape(self, index: int) -> tuple[int, ...]:
        return self.model.tensors[index].shape

    def scale(self, index: int) -> float:
        quant = self.model.tensors[index].quant
        assert quant is not None
        return float(np.float32(quant.scales[0]))

    def zero_point(self, index: int) -> int:
        quant = self.model.tensors[index].quant
        assert quant is not None
        return quant.zero_points[0]

    def conv(
        self,
        x: int,
        channels: int,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        padding: Padding = Padding.SAME,
        activation: Activation = Activation.NONE,
        dilation: Pair = (1, 1),
        groups: int = 1,
        **numbers: Any,
    ) -> int:
        """CONV_2D; `numbers` are those of :meth:`_weighted`."""
        batch, height, width, depth = self.shape(x)
        out = self._windows((height, width), kernel, stride, dilation, padding)
        options = schema.Conv2D(padding, stride, activation, dilation)
        weights_shape = (channels, *kernel, depth // groups)
        fan_in = math.prod(weights_shape[1:])
        return self._weighted(
            Code.CONV_2D, x, weights_shape, 0, channels, fan_in, (batch, *out, channels), options, **numbers
        )

    def depthwise(
        self,
        x: int,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        padding: Padding = Padding.SAME,
        activation: Activation = Activation.NONE,
        dilation: Pair = (1, 1),
        depth_multiplier: int = 1,
        **numbers: Any,
    ) -> int:
        """DEPTHWISE_CONV_2D; `numbers` are those of :meth:`_weighted`."""
        batch, height, width, depth = self.shape(x)
        channels = depth * depth_multiplier
        out = self._windows((height, width), kernel, stride, dilation, padding)
        options = schema.DepthwiseConv2D(padding, stride, depth_multiplier, activation, dilation)
        return self._weighted(
            Code.DEPTHWISE_CONV_2D,
            x,
            (1, *kernel, channels),
            3,
            channels,
            math.prod(kernel),
            (batch, *out, channels),
            options,
            **numbers,
        )

    def fully_connected(
        self, x: int, channels: int, activation: Activation = Activation.NONE, keep_dims: bool = False, **numbers: Any
    ) -> int:
        """FULLY_CONNECTED over everything but the batch, or over the last dimension with `keep_dims`."""
        shape = self.shape(x)
        depth = shape[-1] if keep_dims else math.prod(shape[1:])
        out = (*shape[:-1], channels) if keep_dims else (shape[0], channels)
        options = schema.FullyConnected(activation, keep_num_dims=keep_dims)
        numbers.setdefault("per_channel", False)
        return self._weighted(Code.FULLY_CONNECTED, x, (channels, depth), 0, channels, depth, out, options, **numbers)

    def _weighted(
        self,
        code: Code,
        x: int,
        weights_shape: tuple[int, ...],
        channel_axis: int,
        channels: int,
        fan_in: int,
        out_shape: Sequence[int],
        options: schema.Options,
        *,
        gain: float = 1.0,
        multipliers: Sequence[float] | None = None,
        scale: float | None = None,
        zero_point: int | None = None,
        per_channel: bool = True,
        bias: Bias = "random",
        weights: Weights = "random",
    ) -> int:
        """One operator with weights and bias.

        The effective scale of a channel (input scale * weight scale / output scale) is chosen so that outputs spread
        over int8, times `gain`, or is taken from `multipliers` (repeated as needed; exact when the scales are powers of
        two). `bias` "high" and "low" put the accumulators against the ends of int32 without overflow.
        """
        values = self._weights(weights_shape, weights)
        out = self.activation(out_shape, scale, zero_point)
        used = channels if per_channel else 1
        if multipliers is None:
            spread = math.sqrt(fan_in) * max(float(np.std(values)), 20.0) * _INPUT_SPREAD
            effective = gain * _OUTPUT_SPREAD / spread * 2.0 ** self.rng.uniform(-1, 1, used)
        else:
            effective = np.resize(np.array(multipliers, np.float64), used)
        scales = (effective * self.scale(out) / self.scale(x)).astype(np.float32)
        weights_index = self.constant(values, w.Quant(tuple(map(float, scales)), (0,) * used, channel_axis))
        inputs = [x, weights_index]
        if bias != "none":
            inputs.append(self._bias(x, values, scales, channel_axis, channels, bias))
        self.op(code, inputs, [out], options)
        return out

    def _weights(self, shape: tuple[int, ...], kind: Weights) -> NDArray[np.int8]:
        if kind == "plus127":
            return np.full(shape, 127, np.int8)
        if kind == "minus128":
            return np.full(shape, -128, np.int8)
        if kind == "extreme":
            return self.rng.choice(np.array([-128, -127, 127], np.int8), shape)
        if kind == "small":
            return self.rng.choice(np.array([-2, -1, 0, 0, 0, 1, 2], np.int8), shape)
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        if kind == "sparse":
            values[self.rng.random(shape) < 0.8] = 0
        return values

    def _bias(
        self, x: int, values: NDArray[np.int8], scales: NDArray[np.float32], axis: int, channels: int, kind: Bias
    ) -> int:
        by_channel = np.moveaxis(values, axis, 0).reshape(channels, -1).astype(np.int64)
        reach = np.abs(by_channel).sum(axis=1) * 255  # no partial sum is beyond this
        if kind == "zero":
            data = np.zeros(channels, np.int64)
        elif kind == "random":
            spread = (reach / (2 * math.sqrt(by_channel.shape[1]))).astype(np.int64) + 1
            data = self.rng.integers(-spread, spread + 1)
        else:
            data = INT32_MAX - reach if kind == "high" else -INT32_MAX - 1 + reach
        bias_scales = np.float32(self.scale(x)) * scales
        quant = w.Quant(tuple(map(float, bias_scales)), (0,) * len(scales))
        return self.constant(data.astype(np.int32), quant)

    def _windows(self, size: Pair, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding) -> Pair:
        """The (height, width) of an output by the schema's rule for SAME and VALID."""

        def along(n: int, k: int, s: int, d: int) -> int:
            reach = (k - 1) * d + 1
            return -(-n // s) if padding is Padding.SAME else (n - reach + s) // s

        return (
            along(size[0], kernel[0], stride[0], dilation[0]),
            along(size[1], kernel[1], stride[1], dilation[1]),
        )

    def add(
        self,
        a: int,
        b: int,
        activation: Activation = Activation.NONE,
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> int:
        if scale is None:  # TFLM wants 2 * max(scales) / (2^20 * scale) below 1; this spreads the sum over int8
            spread = math.hypot(self.scale(a), self.scale(b)) * _INPUT_SPREAD
            scale = spread / _OUTPUT_SPREAD * 2.0 ** self.rng.uniform(-1, 1)
        return self.broadcast(Code.ADD, (a, b), schema.Add(activation), scale, zero_point)

    def broadcast(
        self, code: Code, sides: Pair, options: schema.Options, scale: float, zero_point: int | None = None
    ) -> int:
        """An operator of two operands, at the nearest float32 to `scale`."""
        shape = np.broadcast_shapes(*map(self.shape, sides))
        out = self.activation(shape, float(np.float32(scale)), zero_point)
        self.op(code, sides, [out], options)
        return out

    def pad(self, x: int, paddings: Sequence[Pair], value: int | None = None) -> int:
        """PAD with the zero point, or PADV2 with the stored `value`."""
        shape = [n + before + after for n, (before, after) in zip(self.shape(x), paddings, strict=True)]
        out = self._same_quant(x, shape)
        inputs = [x, self.constant(np.array(paddings, np.int32))]
        if value is None:
            self.op(Code.PAD, inputs, [out], schema.Pad())
        else:
            quant = w.Quant((self.scale(x),), (self.zero_point(x),))
            inputs.append(self.constant(np.array([value], np.int8), quant))
            self.op(Code.PADV2, inputs, [out], schema.PadV2())
        return out

    def pool(
        self,
        kind: Literal["average", "max"],
        x: int,
        filter: Pair = (2, 2),
        stride: Pair = (2, 2),
        padding: Padding = Padding.VALID,
        activation: Activation = Activation.NONE,
    ) -> int:
        batch, height, width, depth = self.shape(x)
        size = self._windows((height, width), filter, stride, (1, 1), padding)
        out = self._same_quant(x, (batch, *size, depth))
        code = Code.AVERAGE_POOL_2D if kind == "average" else Code.MAX_POOL_2D
        self.op(code, [x], [out], schema.Pool2D(padding, stride, filter, activation))
        return out

    def mean(
        self,
        x: int,
        axes: Sequence[int] = (1, 2),
        keep_dims: bool = False,
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> int:
        shape = self.shape(x)
        reduced = {axis % len(shape) for axis in axes}
        kept = [1 if i in reduced else n for i, n in enumerate(shape) if keep_dims or i not in reduced]
        if scale is None:
            count = math.prod(shape[axis] for axis in reduced)
            shrink = 2.0 ** self.rng.uniform(-1, 1) / math.sqrt(count)
            scale = float(np.float32(self.scale(x) * shrink))
        out = self.activation(kept, scale, zero_point)
        self.op(Code.MEAN, [x, self.constant(np.array(axes, np.int32))], [out], schema.Reducer(keep_dims))
        return out

    def reshape(self, x: int, shape: Sequence[int], with_tensor: bool = True) -> int:
        out = self._same_quant(x, shape)
        inputs = [x, self.constant(np.array(shape, np.int32))] if with_tensor else [x]
        self.op(Code.RESHAPE, inputs, [out], schema.Reshape(tuple(shape)))
        return out

    def softmax(self, x: int, beta: float = 1.0) -> int:
        out = self.activation(self.shape(x), 1 / 256, -128)
        self.op(Code.SOFTMAX, [x], [out], schema.Softmax(beta))
        return out

    def quantize(self, x: int, scale: float | None = None, zero_point: int | None = None, dtype: str = "int8") -> int:
        """QUANTIZE: from float, or from one quantized form to another."""
        if scale is None and self.model.tensors[x].quant is not None:
            scale = float(np.float32(self.scale(x) * 2.0 ** self.rng.uniform(-1, 1)))
        out = self.activation(self.shape(x), scale, zero_point, dtype)
        self.op(Code.QUANTIZE, [x], [out], schema.Quantize())
        return out

    def dequantize(self, x: int) -> int:
        out = self.tensor(w.Tensor(self.shape(x), "float32"))
        self.op(Code.DEQUANTIZE, [x], [out], schema.Dequantize())
        return out

    def _same_quant(self, x: int, shape: Sequence[int]) -> int:
        return self.activation(shape, self.scale(x), self.zero_point(x))
