"""Layers of networks: shapes, MACs, parameters and bytes, with no framework behind them.

Sizes are those of the deployed int8 network: one byte an activation and a weight, four a bias, batch normalization
folded into the convolution before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Shape = tuple[int, ...]
LayerOp = Literal[
    "conv",
    "depthwise",
    "dense",
    "max_pool",
    "average_pool",
    "global_average_pool",
    "add",
    "concat",
    "split",
    "shuffle",
    "softmax",
]
Activation = Literal["none", "relu", "relu6"]
Padding = Literal["same", "valid"]

INPUT = "input"
# The dense layer that gives the logits.
CLASSIFIER = "classifier"


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer. Shapes are (H, W, C) or (C,), without a batch dimension; `padding` is meant as in TensorFlow.

    `inputs` names the layers that it reads; ``"input"`` is the network's input. Kernels are (rows, columns), and
    (1, 1) where the op has none. `groups` are those of a convolution or a shuffle; a split is into `groups` equal
    parts, of which the layer is the `part`. `bias` says whether it is trained with one of its own.
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
    padding: Padding = "same"
    groups: int = 1
    part: int = 0
    bias: bool = True

    @property
    def title(self) -> str:
        """The layer in a few words, such as ``conv 3x3 s2 g4``."""
        has_window = self.op in ("conv", "depthwise", "max_pool", "average_pool")
        size = f" {self.kernel[0]}x{self.kernel[1]}" if has_window else ""
        stride = f" s{self.stride}" if self.stride > 1 else ""
        groups = f" g{self.groups}" if self.groups > 1 else ""
        return f"{self.op}{size}{stride}{groups}"

    @property
    def weights(self) -> int:
        """Elements of the kernel."""
        taps = self.kernel[0] * self.kernel[1]
        channels_in, channels_out = self.input_shapes[0][-1], self.output_shape[-1]
        match self.op:
            case "conv" | "dense":
                return taps * channels_in * channels_out // self.groups
            case "depthwise":
                return taps * channels_out
        return 0

    @property
    def parameters(self) -> int:
        """What training adjusts: kernel and bias, or kernel and the scale and shift of batch normalization."""
        if not self.weights:
            return 0
        return self.weights + (2 if self.batch_norm else int(self.bias)) * self.output_shape[-1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, padding counted as if it were data."""
        return self.weights * math.prod(self.output_shape[:-1])

    @property
    def weights_bytes(self) -> int:
        """int8 kernel and int32 bias as deployed; the converter adds a bias of zeros where there was none."""
        return self.weights + 4 * self.output_shape[-1] if self.weights else 0

    @property
    def input_bytes(self) -> int:
        """int8 activations that the layer reads; a split reads its own part only."""
        if self.op == "split":
            return self.output_bytes
        return sum(math.prod(shape) for shape in self.input_shapes)

    @property
    def output_bytes(self) -> int:
        """int8 activations that the layer writes."""
        return math.prod(self.output_shape)

    @property
    def access(self) -> int:
        """Memory access cost: activations read and written, and weights read once (ShuffleNet V2, 2018, section 3)."""
        return self.input_bytes + self.output_bytes + self.weights


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
