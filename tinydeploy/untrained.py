"""A description of the zoo as the int8 graph that training and quantization would give, with random weights.

What the compiler makes of a network hardly depends on its weights: the arena not at all, constants and instructions
only through the requantization's form, which plausible scales decide as trained ones do. So the real compiler can tell
a network's cost before an epoch is trained, and TensorFlow is not needed for it.

Layers become the operators that TensorFlow's converter makes of them: batch normalization folded, activations fused, a
channel shuffle as RESHAPE, TRANSPOSE, RESHAPE. The readers of .tflite operators read them, with all their checks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.flatbuffer import EMPTY, Table
from tinydeploy.graph import DType, Graph, Quant, Tensor, verify
from tinydeploy.ops import READERS
from tinydeploy.ops.base import NONE, RELU, RELU6, Node, Op
from tinydeploy.zoo import LayerSpec

_FUSED = {"none": NONE, "relu": RELU, "relu6": RELU6}
_POOLS = {"max_pool": "MAX_POOL_2D", "average_pool": "AVERAGE_POOL_2D"}
# Pixels 0 to 255 as 0 to 1; what a ReLU6 gives; values around zero; probabilities.
_PIXELS = Quant((1 / 255,), (-128,))
_POSITIVE = Quant((float(np.float32(6 / 255)),), (-128,))
_CENTRED = Quant((float(np.float32(6 / 127)),), (3,))
_PROBABILITIES = Quant((1 / 256,), (-128,))
# Spread of int8 weights and activations in trained networks; only its order of magnitude matters.
_SPREAD = 40.0


@dataclass(frozen=True, slots=True)
class _Options(Table):
    """An operator's options by slot, as its reader asks for them."""

    slots: Mapping[int, float] = field(default_factory=dict)

    def integer(self, field: int, code: str, default: int = 0) -> int:
        return int(self.slots.get(field, default))

    def number(self, field: int, default: float = 0.0) -> float:
        return float(self.slots.get(field, default))


def untrained_graph(layers: Sequence[LayerSpec], name: str, seed: int = 0) -> Graph:
    """The graph of `layers`; the same description and seed give the same graph. An operator has its layer's name."""
    return _Builder(np.random.default_rng(seed)).graph(layers, name)


class _Builder:
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._tensors: dict[int, Tensor] = {}
        self._ops: list[Op] = []
        self._values: dict[str, Tensor] = {}

    def graph(self, layers: Sequence[LayerSpec], name: str) -> Graph:
        first = self._tensor("input", (1, *layers[0].input_shapes[0]), _PIXELS)
        self._values["input"] = first
        for number, layer in enumerate(layers):
            if layer.op == "split":
                if layer.part == 0:
                    self._split(layers[number : number + layer.groups])
            elif layer.op == "shuffle":
                self._shuffle(layer)
            else:
                self._values[layer.name] = self._layer(layer, [self._values[source] for source in layer.inputs])
        digest = hashlib.sha256(repr(tuple(layers)).encode()).hexdigest()
        used = {first.index, *(tensor for op in self._ops for tensor in (*op.inputs, op.output))}
        tensors = {index: self._tensors[index] for index in sorted(used)}
        return verify(Graph(name, tensors, tuple(self._ops), first.index, self._ops[-1].output, digest))

    def _layer(self, layer: LayerSpec, sources: list[Tensor]) -> Tensor:
        """One operator; its output."""
        shape, source = (1, *layer.output_shape), sources[0]
        quant = _CENTRED if layer.activation == "none" else _POSITIVE
        window = {0: int(layer.padding == "valid"), 1: layer.stride, 2: layer.stride}
        weights: tuple[int, ...]
        act = _FUSED[layer.activation]
        match layer.op:
            case "conv":
                weights = (layer.output_shape[-1], *layer.kernel, source.shape[-1] // layer.groups)
                return self._weighted("CONV_2D", layer, source, weights, 0, {**window, 3: act}, quant)
            case "depthwise":
                weights = (1, *layer.kernel, layer.output_shape[-1])
                options = {**window, 3: 1, 4: act}
                return self._weighted("DEPTHWISE_CONV_2D", layer, source, weights, 3, options, quant)
            case "dense":
                weights = (layer.output_shape[-1], source.shape[-1])
                return self._weighted("FULLY_CONNECTED", layer, source, weights, 0, {0: act}, quant)
            case "max_pool" | "average_pool":
                options = {**window, 3: layer.kernel[1], 4: layer.kernel[0], 5: act}
                output = self._tensor(layer.name, shape, source.quantization)
                return self._op(_POOLS[layer.op], [source], output, options)
            case "global_average_pool":
                axes = self._constant(np.array([1, 2], np.int32))
                scale, zero_point = source.quantization.scale, source.quantization.zero_point
                output = self._tensor(layer.name, shape, Quant((float(np.float32(scale / 3)),), (zero_point,)))
                return self._op("MEAN", [source, axes], output, {})
            case "add":
                return self._op("ADD", sources, self._tensor(layer.name, shape, quant), {0: act})
            case "concat":
                output = self._tensor(layer.name, shape, source.quantization)
                return self._op("CONCATENATION", sources, output, {0: 3})
            case "softmax":
                return self._op("SOFTMAX", [source], self._tensor(layer.name, shape, _PROBABILITIES), {0: 1.0})
        raise AssertionError(layer.op)

    def _split(self, parts: Sequence[LayerSpec]) -> None:
        """One SPLIT for all parts."""
        source = self._values[parts[0].inputs[0]]
        outputs = [self._tensor(part.name, (1, *part.output_shape), source.quantization) for part in parts]
        self._node("SPLIT", [self._constant(np.array(3, np.int32)), source], outputs, {0: len(parts)})
        self._values.update({part.name: output for part, output in zip(parts, outputs, strict=True)})

    def _shuffle(self, layer: LayerSpec) -> None:
        """As Keras's layers are converted: the channels as a matrix of groups, transposed."""
        source = self._values[layer.inputs[0]]
        rows, columns, channels = layer.output_shape
        grouped = (1, rows * columns, layer.groups, channels // layer.groups)
        transposed = (grouped[0], grouped[1], grouped[3], grouped[2])
        quant = source.quantization
        shape = self._constant(np.array(grouped, np.int32))
        x = self._op("RESHAPE", [source, shape], self._tensor(f"{layer.name}_grouped", grouped, quant), {})
        order = self._constant(np.array([0, 1, 3, 2], np.int32))
        x = self._op("TRANSPOSE", [x, order], self._tensor(layer.name, transposed, quant), {})
        output = (1, *layer.output_shape)
        shape = self._constant(np.array(output, np.int32))
        self._values[layer.name] = self._op("RESHAPE", [x, shape], self._tensor(layer.name, output, quant), {})

    def _weighted(
        self,
        kind: str,
        layer: LayerSpec,
        source: Tensor,
        shape: tuple[int, ...],
        axis: int,
        options: Mapping[int, float],
        quant: Quant,
    ) -> Tensor:
        """A convolution or a fully connected layer whose outputs spread over int8; FULLY_CONNECTED has one scale."""
        values = np.clip(np.rint(self._rng.normal(0, _SPREAD, shape)), -127, 127).astype(np.int8)
        channels = layer.output_shape[-1]
        taps = values.size // channels
        count = channels if kind != "FULLY_CONNECTED" else 1
        # Output steps per accumulator, a little different in each channel.
        factor = 2.0 ** self._rng.uniform(-0.5, 0.5, count) / (math.sqrt(taps) * _SPREAD)
        scales = (factor * quant.scale / source.quantization.scale).astype(np.float32)
        weights = self._constant(values, Quant(tuple(scales.tolist()), (0,) * count, axis if count > 1 else 0))
        bias = np.rint(self._rng.normal(0, math.sqrt(taps) * _SPREAD**2 / 2, channels)).astype(np.int32)
        output = self._tensor(layer.name, (1, *layer.output_shape), quant)
        return self._op(kind, [source, weights, self._constant(bias)], output, options)

    def _op(self, kind: str, inputs: Sequence[Tensor], output: Tensor, options: Mapping[int, float]) -> Tensor:
        self._node(kind, inputs, [output], options)
        return output

    def _node(
        self, kind: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], options: Mapping[int, float]
    ) -> None:
        table = _Options(EMPTY, 0, options)
        index = self._ops[-1].index + 1 if self._ops else 0
        made = READERS[kind](Node(kind, index, tuple(inputs), tuple(outputs), table))
        self._ops += [made] if isinstance(made, Op) else list(made)

    def _tensor(self, name: str, shape: tuple[int, ...], quant: Quant) -> Tensor:
        return self._add(name, shape, "int8", quant, None)

    def _constant(self, data: NDArray[Any], quant: Quant | None = None) -> Tensor:
        return self._add("", data.shape, "int8" if data.dtype == np.int8 else "int32", quant, data)

    def _add(
        self, name: str, shape: tuple[int, ...], dtype: DType, quant: Quant | None, data: NDArray[Any] | None
    ) -> Tensor:
        tensor = Tensor(len(self._tensors), name, shape, dtype, quant, data)
        self._tensors[tensor.index] = tensor
        return tensor
