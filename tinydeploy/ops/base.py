"""What every operator is and how one is read: the base class, the raw node, and the checks that readers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import ModelError, UnsupportedOpError
from tinydeploy.fixedpoint import IntArray, multiply_by_quantized_multiplier, quantize_multiplier
from tinydeploy.flatbuffer import Table
from tinydeploy.graph import Tensor

if TYPE_CHECKING:
    from tinydeploy.graph import Graph

Values = Mapping[int, NDArray[Any]]

# ActivationFunctionType of the TFLite schema.
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3
_ACTIVATION_BOUNDS = {RELU: (0.0, None), RELU_N1_TO_1: (-1.0, 1.0), RELU6: (0.0, 6.0)}
# tf.nn.batch_normalization opens it inside the layer's own.
_NORMALIZATION_SCOPE = "batchnorm"


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One operator. `index` is its number in the .tflite; `inputs` are the activations it reads, constants excluded."""

    name: str
    index: int
    inputs: tuple[int, ...]
    output: int

    @property
    def kind(self) -> str:
        """The schema's name of the operator; a class that stands for several keeps it in a field."""
        raise NotImplementedError

    def macs(self, graph: Graph) -> int:
        """Nominal multiply-accumulates."""
        return 0

    @property
    def parameters(self) -> int:
        """Trained numbers that the operator holds."""
        return 0

    @property
    def weights_bytes(self) -> int:
        """Bytes of weights and biases as the .tflite stores them."""
        return 0

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """The output by TFLM's reference arithmetic, in numpy; `values` holds the activations by tensor index."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Node:
    """An operator as it stands in the file, before its form is checked. Absent optional inputs are ``None``."""

    kind: str
    index: int
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Table | None

    def fail(self, fact: str) -> NoReturn:
        """The model is malformed at this operator."""
        raise ModelError(f"operator {self.index} ({self.kind}): {fact}; export the model again.")

    def unsupported(self, fact: str) -> NoReturn:
        """The model is well formed but tinydeploy does not compile this form of the operator."""
        raise UnsupportedOpError(f"operator {self.index} ({self.kind}): {fact}; change this layer of the model.")

    def arity(self, least: int, most: int) -> None:
        """Check how many inputs there are, and that there is one output."""
        if not least <= len(self.inputs) <= most or len(self.outputs) != 1:
            self.fail(f"{len(self.inputs)} inputs and {len(self.outputs)} outputs do not fit this operator")

    def activation(self, position: int) -> Tensor:
        """Input `position`, which must be computed at run time."""
        tensor = self.inputs[position]
        if tensor is None:
            self.fail(f"input {position} is missing")
        if tensor.data is not None:
            self.unsupported(f"input {position} is a constant")
        return tensor

    def constant(self, position: int) -> Tensor:
        """Input `position`, which must be a constant."""
        tensor = self.inputs[position]
        if tensor is None:
            self.fail(f"input {position} is missing")
        if tensor.data is None:
            self.unsupported(f"input {position} ({tensor.name}) is not a constant")
        return tensor

    @property
    def output(self) -> Tensor:
        """The one output."""
        return self.outputs[0]

    @property
    def name(self) -> str:
        """A short name for people: the layer's part of the output tensor's path, without its wrapping."""
        path = [part for part in self.output.name.split(";")[0].split("/") if part]
        if len(path) >= 3 and path[-2] == _NORMALIZATION_SCOPE:
            return path[-3]
        if len(path) >= 2:
            return path[-2]
        return path[0] if path else f"{self.kind.lower()}_{self.index}"

    def per_tensor_int8(self, *tensors: Tensor) -> None:
        """Check that activations are int8 with one scale and zero point."""
        for tensor in tensors:
            if tensor.dtype != "int8":
                self.unsupported(
                    f"tensor {tensor.name!r} is {tensor.dtype}, not int8; quantize the model to full int8 "
                    "(inference_input_type and inference_output_type int8), or"
                )
            self.quantized(tensor)

    def quantized(self, tensor: Tensor) -> None:
        """Check that a tensor has one scale and a zero point in its range."""
        if tensor.quant is None or len(tensor.quant.scales) != 1:
            self.fail(f"tensor {tensor.name!r} has no single scale and zero point")
        low, high = {"int8": (-128, 127), "uint8": (0, 255)}.get(tensor.dtype, (-(1 << 31), (1 << 31) - 1))
        if not low <= tensor.quant.zero_point <= high:
            self.fail(f"tensor {tensor.name!r} has zero point {tensor.quant.zero_point}, outside {tensor.dtype}")

    def option(self, slot: int, code: str, default: int = 0) -> int:
        """An integer option, or the schema's default."""
        return self.options.integer(slot, code, default) if self.options is not None else default

    def activation_range(self, fused: int) -> tuple[int, int]:
        """The int8 clamp of a fused activation at the output (CalculateActivationRangeQuantized; float32 division)."""
        if fused == NONE:
            return -128, 127
        if fused not in _ACTIVATION_BOUNDS:
            self.unsupported(f"fused activation {fused} is not NONE, RELU, RELU6 or RELU_N1_TO_1")
        quant = self.output.quantization
        bounds = [-128, 127]
        for side, real in enumerate(_ACTIVATION_BOUNDS[fused]):
            if real is None:
                continue
            with np.errstate(over="ignore"):
                scaled = float(np.float32(real) / np.float32(quant.scale))
            if not abs(scaled) <= 2.0**31:
                self.fail(f"the output scale {quant.scale:g} is too small for its activation")
            # std::round: half away from zero.
            q = quant.zero_point + int(np.copysign(np.floor(abs(scaled) + 0.5), scaled))
            bounds[side] = max(-128, q) if side == 0 else min(127, q)
        if bounds[0] > bounds[1]:
            self.fail(f"its activation range is empty at scale {quant.scale:g} and zero point {quant.zero_point}")
        return bounds[0], bounds[1]


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window over height and width; pads are those at the top and left, zero padding elsewhere follows."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]

    @property
    def is_pointwise(self) -> bool:
        """Whether each output pixel reads just the input pixel at its place."""
        return self.kernel == (1, 1) and self.stride == (1, 1) and self.pad == (0, 0)

    def leaves(self, source: tuple[int, ...], output: tuple[int, ...]) -> bool:
        """Whether any window reaches over an edge of the NHWC input, for an output of this NHWC shape."""
        ends = (
            (output[1 + i] - 1) * self.stride[i] - self.pad[i] + (self.kernel[i] - 1) * self.dilation[i]
            for i in range(2)
        )
        return any(self.pad) or any(end >= size for end, size in zip(ends, source[1:3], strict=True))


def read_window(
    node: Node,
    source: Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: int,
) -> Window:
    """Resolve SAME (0) or VALID (1) padding into pads at top and left, and check the output's height and width."""
    if padding not in (0, 1):
        node.fail(f"padding {padding} is neither SAME nor VALID")
    pads, sizes = [], []
    for axis in range(2):
        size, k, s, d = source.shape[1 + axis], kernel[axis], stride[axis], dilation[axis]
        if min(k, s, d) < 1 or max(k, s, d) > 1 << 16:
            node.fail(f"kernel {k}, stride {s} or dilation {d} is out of range")
        extent = (k - 1) * d + 1
        out = (size + s - 1) // s if padding == 0 else (size + s - extent) // s
        if out < 1:
            node.fail(f"a window of {extent} does not fit an input of {size}")
        pads.append(max((out - 1) * s + extent - size, 0) // 2)
        sizes.append(out)
    if node.output.shape[1:3] != tuple(sizes):
        node.fail(f"the output is {node.output.shape[1:3]}, its window gives {tuple(sizes)}")
    return Window(kernel, stride, dilation, (pads[0], pads[1]))


def four_dimensional(node: Node, *tensors: Tensor) -> None:
    """Check that activations are NHWC with a batch of one."""
    for tensor in tensors:
        if len(tensor.shape) != 4:
            node.unsupported(f"tensor {tensor.name!r} has {len(tensor.shape)} dimensions, not 4 (NHWC)")
        if tensor.shape[0] != 1:
            node.unsupported(f"tensor {tensor.name!r} has a batch of {tensor.shape[0]}, not 1")


@dataclass(frozen=True, slots=True, eq=False)
class Requant:
    """How int32 accumulators become int8: per output channel mantissa and shift, then the zero point and the clamp."""

    mantissa: IntArray
    shift: IntArray
    zero_point: int
    act_min: int
    act_max: int

    def apply(self, acc: IntArray, channel: int | slice = slice(None)) -> NDArray[np.int8]:
        """Requantize int32 values whose last axis runs over the output channels (or all of one `channel`)."""
        scaled = multiply_by_quantized_multiplier(acc, self.mantissa[channel], self.shift[channel])
        return np.clip(scaled + self.zero_point, self.act_min, self.act_max).astype(np.int8)


@dataclass(frozen=True, slots=True, eq=False)
class WeightedOp(Op):
    """What convolutions and fully connected layers share: int8 weights, an int32 bias and a requantization each."""

    weights: NDArray[np.int8]
    bias: IntArray
    requant: Requant

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights.size + self.bias.size

    @property
    def weights_bytes(self) -> int:
        """int8 weights and int32 biases."""
        return self.weights.size + 4 * self.bias.size


def linear_parameters(
    node: Node, source: Tensor, weights: Tensor, channels: int, channel_axis: int, fused: int
) -> tuple[IntArray, Requant]:
    """Bias (int32 values) and requantization of a convolution or a fully connected layer.

    The factor of a channel is computed in double precision, also for FULLY_CONNECTED with a single weight scale:
    sources of TFLM exist that round the product of the two scales to float32 there, the wheel does not.
    """
    if weights.dtype != "int8":
        node.unsupported(f"weights {weights.name!r} are {weights.dtype}, not int8")
    quant = weights.quant
    if quant is None:
        node.fail(f"weights {weights.name!r} have no scales")
    if len(quant.scales) not in (1, channels):
        node.fail(f"weights {weights.name!r} have {len(quant.scales)} scales for {channels} channels")
    if len(quant.scales) > 1 and quant.axis != channel_axis:
        node.fail(f"weights {weights.name!r} are quantized along axis {quant.axis}, not {channel_axis}")
    if any(quant.zero_points):
        node.unsupported(f"weights {weights.name!r} have a zero point other than 0")
    input_scale, output_scale = source.quantization.scale, node.output.quantization.scale
    reals = [input_scale * scale / output_scale for scale in quant.scales]
    if not all(np.isfinite(real) and real < 2.0**30 for real in reals):
        node.fail("its scales give a multiplier out of range")
    multipliers = [quantize_multiplier(real) for real in reals] * (channels if len(reals) == 1 else 1)
    act_min, act_max = node.activation_range(fused)
    bias = np.zeros(channels, np.int64)
    tensor = node.inputs[2] if len(node.inputs) > 2 else None
    if tensor is not None:
        if tensor.dtype != "int32" or tensor.data is None or tensor.elements != channels:
            node.unsupported(f"bias {tensor.name!r} is not {channels} constant int32 values")
        bias = tensor.data.reshape(-1).astype(np.int64)
    requant = Requant(
        np.array([m.mantissa for m in multipliers], np.int64),
        np.array([m.shift for m in multipliers], np.int64),
        node.output.quantization.zero_point,
        act_min,
        act_max,
    )
    return bias, requant
