"""Networks as tuples of layer descriptions: shapes, MACs, parameters and bytes, with no framework behind them.

Sizes are those of the deployed int8 network: one byte an activation and a weight, four a bias, batch normalization
folded into the convolution before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tinydeploy.zoo._spec import ModelSpec

Shape = tuple[int, ...]
LayerOp = Literal["conv", "depthwise", "global_average_pool", "dense", "softmax"]
Activation = Literal["none", "relu6"]

INPUT = "input"


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer. Shapes are (H, W, C) or (C,), without a batch dimension; convolutions pad as TensorFlow's "same".

    `inputs` names the layers that it reads; ``"input"`` is the network's input. Kernels are (rows, columns), and
    (1, 1) where the op has none.
    """

    name: str
    op: LayerOp
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    batch_norm: bool = False
    activation: Activation = "none"

    @property
    def title(self) -> str:
        """The layer in a few words, such as ``conv 3x3 s2``."""
        size = f" {self.kernel[0]}x{self.kernel[1]}" if self.op in ("conv", "depthwise") else ""
        stride = f" s{self.stride}" if self.stride > 1 else ""
        return f"{self.op}{size}{stride}"

    @property
    def weights(self) -> int:
        """Elements of the kernel."""
        taps = self.kernel[0] * self.kernel[1]
        channels_in, channels_out = self.input_shapes[0][-1], self.output_shape[-1]
        match self.op:
            case "conv" | "dense":
                return taps * channels_in * channels_out
            case "depthwise":
                return taps * channels_out
            case "global_average_pool" | "softmax":
                return 0

    @property
    def parameters(self) -> int:
        """What training adjusts: kernel and bias, or kernel and the scale and shift of batch normalization."""
        if not self.weights:
            return 0
        return self.weights + (2 if self.batch_norm else 1) * self.output_shape[-1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, padding counted as if it were data."""
        return self.weights * math.prod(self.output_shape[:-1])

    @property
    def weights_bytes(self) -> int:
        """int8 kernel and int32 bias as deployed."""
        return self.weights + 4 * self.output_shape[-1] if self.weights else 0

    @property
    def input_bytes(self) -> int:
        """int8 activations that the layer reads."""
        return sum(math.prod(shape) for shape in self.input_shapes)

    @property
    def output_bytes(self) -> int:
        """int8 activations that the layer writes."""
        return math.prod(self.output_shape)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a network costs. `activation_bytes` is the most that is alive at once, which is while `peak_layer` runs.

    It takes each layer to write where nothing live is; a compiler that overlaps input and output needs less.
    """

    macs: int
    parameters: int
    weights_bytes: int
    activation_bytes: int
    peak_layer: str


def footprint(layers: Sequence[LayerSpec]) -> Footprint:
    """Sum up `layers`, in execution order."""
    last_reader = {name: index for index, layer in enumerate(layers) for name in layer.inputs}
    live = {INPUT: math.prod(layers[0].input_shapes[0])}
    peak_bytes, peak_layer = 0, ""
    for index, layer in enumerate(layers):
        live[layer.name] = layer.output_bytes
        if sum(live.values()) > peak_bytes:
            peak_bytes, peak_layer = sum(live.values()), layer.name
        live = {name: size for name, size in live.items() if last_reader.get(name, index) > index or name == layer.name}
    return Footprint(
        macs=sum(layer.macs for layer in layers),
        parameters=sum(layer.parameters for layer in layers),
        weights_bytes=sum(layer.weights_bytes for layer in layers),
        activation_bytes=peak_bytes,
        peak_layer=peak_layer,
    )


class InputTooSmallError(Exception):
    """The input is used up before the last stride; ``zoo.describe`` turns it into a sentence."""


class Network:
    """Lays a network out: each method appends a layer that reads the one given (None: the input) and returns it."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._layers: list[LayerSpec] = []

    def conv(
        self, name: str, source: LayerSpec | None, filters: int, kernel: tuple[int, int] = (1, 1), stride: int = 1
    ) -> LayerSpec:
        """Convolution, batch normalization, ReLU6."""
        rows, columns, _ = self._strided(source, stride)
        return self._add(name, "conv", source, (rows, columns, filters), kernel, stride, True, "relu6")

    def depthwise(
        self, name: str, source: LayerSpec | None, kernel: tuple[int, int] = (3, 3), stride: int = 1
    ) -> LayerSpec:
        """Depthwise convolution, one filter a channel, batch normalization, ReLU6."""
        shape = self._strided(source, stride)
        return self._add(name, "depthwise", source, shape, kernel, stride, True, "relu6")

    def classifier(self, source: LayerSpec) -> tuple[LayerSpec, ...]:
        """Global average pooling, a dense layer to the classes, softmax: the end of the network. Returns all layers."""
        pooled = self._add("global_average", "global_average_pool", source, source.output_shape[-1:])
        logits = self._add("classifier", "dense", pooled, (self._spec.classes,))
        self._add("softmax", "softmax", logits, logits.output_shape)
        return tuple(self._layers)

    def _strided(self, source: LayerSpec | None, stride: int) -> tuple[int, int, int]:
        """The shape after a "same" window of `stride`. InputTooSmallError over a single pixel."""
        rows, columns, channels = self._shape(source)
        if stride > 1 and min(rows, columns) < 2:
            raise InputTooSmallError
        return -(-rows // stride), -(-columns // stride), channels

    def _shape(self, source: LayerSpec | None) -> Shape:
        return self._spec.input_shape if source is None else source.output_shape

    def _add(
        self,
        name: str,
        op: LayerOp,
        source: LayerSpec | None,
        output_shape: Shape,
        kernel: tuple[int, int] = (1, 1),
        stride: int = 1,
        batch_norm: bool = False,
        activation: Activation = "none",
    ) -> LayerSpec:
        inputs = (INPUT if source is None else source.name,)
        shapes = (self._shape(source),)
        layer = LayerSpec(name, op, inputs, shapes, output_shape, kernel, stride, batch_norm, activation)
        self._layers.append(layer)
        return layer
