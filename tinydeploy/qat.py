"""Quantization-aware training (Jacob et al., 2017, arXiv:1712.05877): a trained network learns to live with int8.

Fake quantization stands where TFLite quantizes: weights per output channel, symmetric, [-127, 127] at their largest;
activations per tensor, int8, one range where operators demand one scale. Batch normalization is folded with its
statistics at rest, as it will be deployed. The ranges of activations begin where they distort the calibration images
least, and are learned. What is exported carries the ranges as constants, and the converter takes its scales from them:
its int8 network computes what the trained one does, but for float rounding (see ``tests/unit/test_qat.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy import zoo
from tinydeploy._tensorflow import import_keras, import_tensorflow
from tinydeploy.folded import INPUT, fold, walk
from tinydeploy.zoo import LayerSpec

LEVELS = 255
_LARGEST_WEIGHT = 127
# Operators whose output has the scale of their input; of these only average pooling rounds.
_SAME_SCALE = {"max_pool", "average_pool", "split", "shuffle", "concat"}
_UNROUNDED = _SAME_SCALE - {"average_pool"}
# Shares of the largest value that a range may end at, and how many values its choice looks at.
_SHARES = np.linspace(1.0, 0.3, 36)
_LOOKED_AT = 60_000
_CALIBRATION_BATCH = 32
_SMALLEST_RANGE = 1e-3
_SMALLEST_WEIGHT = 1e-9
OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Range:
    """What the int8 values of some activations cover, zero among it."""

    low: float
    high: float

    @property
    def scale(self) -> float:
        """Real value of one step."""
        return (self.high - self.low) / LEVELS

    def nudged(self) -> Range:
        """The range that fake quantization makes of it, so that a real zero is an integer."""
        zero = min(max(round(-self.low / self.scale), 0), LEVELS)
        return Range(-zero * self.scale, (LEVELS - zero) * self.scale)


# Of pixels, whatever the data shows: quantized they are pixel - 128.
INPUT_RANGE = Range(-1.0, 127 / 128)


def scale_groups(layers: Sequence[LayerSpec]) -> dict[str, str]:
    """For the input and each layer the name of the first value that must share its scale."""
    groups = {INPUT: INPUT}
    for layer in layers:
        groups[layer.name] = layer.name
        if layer.op in _SAME_SCALE:
            joined = {groups[name] for name in layer.inputs}
            kept = next(group for group in groups.values() if group in joined)
            joined.add(layer.name)
            groups = {name: kept if group in joined else group for name, group in groups.items()}
    return groups


class QuantizedNetwork:
    """A trained Keras `model` of `spec` with fake quantization; its ranges begin by `calibration` (N, *input shape).

    Images are real values everywhere. ``variables`` are what training changes: the model's own kernels, scales, shifts
    and biases, and the ranges.
    """

    def __init__(self, spec: zoo.ModelSpec, model: Any, calibration: NDArray[np.float32]) -> None:
        self.spec = spec
        self.model = model
        self._layers = zoo.describe(spec)
        self._hidden = [layer for layer in self._layers if layer.op != "softmax"]
        self._layer = {layer.name: layer for layer in self._hidden}
        self._groups = scale_groups(self._hidden)
        keras = import_keras()
        self._bounds: dict[str, tuple[Any, Any]] = {}
        learned = []
        for group, found in self._calibrated(calibration).items():
            fixed = group == INPUT
            low = keras.Variable(found.low, trainable=not fixed and found.low < 0, dtype="float32", name=f"{group}_low")
            high = keras.Variable(found.high, trainable=not fixed, dtype="float32", name=f"{group}_high")
            self._bounds[group] = (low, high)
            learned += [bound for bound in (low, high) if bound.trainable]
        self.variables = [*model.trainable_variables, *learned]

    def logits(self, images: Any) -> Any:
        """What the int8 network's logits will be, dequantized; gradients pass through every rounding."""
        tf = import_tensorflow()
        bounds = {name: self._bounds[group] for name, group in self._groups.items()}
        weights = {}
        for name, (kernel, bias) in fold(self.spec, self.model).items():
            low, high = bounds[self._layer[name].inputs[0]]
            weights[name] = _fake_weights(tf, self._layer[name], kernel, bias, (high - low) / LEVELS)

        def fake(name: str, value: Any) -> Any:
            if self._passes(name):
                return value
            return tf.quantization.fake_quant_with_min_max_vars(value, *bounds[name])

        return walk(self._hidden, weights, images, fake)

    def activations(
        self,
        images: NDArray[np.float32],
        *,
        quantized: bool,
        instead: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """The input and every layer's output, softmax left out, for a few images: as int8 will have them, or float.

        What `instead` holds, by name, goes on in place of what was computed: given int8's own values, each layer is
        seen alone.
        """
        tf = import_tensorflow()
        found: dict[str, NDArray[np.float32]] = {}
        ranges = self.ranges()

        def keep(name: str, value: Any) -> Any:
            if quantized and not self._passes(name):
                value = tf.quantization.fake_quant_with_min_max_args(value, ranges[name].low, ranges[name].high)
            found[name] = np.asarray(value)
            return tf.constant(instead[name]) if instead and name in instead else value

        weights = fold(self.spec, self.model)
        if quantized:
            weights = {
                name: _fake_weights(tf, self._layer[name], *pair, ranges[self._layer[name].inputs[0]].scale)
                for name, pair in weights.items()
            }
        walk(self._hidden, weights, tf.constant(images), keep)
        return found

    def ranges(self) -> dict[str, Range]:
        """The range of the input and of each layer's output, softmax left out, as they stand now."""
        own = {
            group: Range(float(np.asarray(low)), float(np.asarray(high))).nudged()
            for group, (low, high) in self._bounds.items()
        }
        return {name: own[group] for name, group in self._groups.items()}

    def digest(self) -> str:
        """SHA-256, in hex, of the weights and ranges as they stand now."""
        state = hashlib.sha256(repr(self.spec).encode())
        for variable in (*self.model.weights, *self.variables):
            state.update(np.ascontiguousarray(np.asarray(variable)).tobytes())
        return state.hexdigest()

    def export(self) -> bytes:
        """A frozen TensorFlow graph for the converter: plain weights, and the ranges as constants of fake quantization.

        Its function takes ``input`` (1, *input shape) and ends in the softmax.
        """
        tf = import_tensorflow()
        ranges = self.ranges()
        weights = {name: [np.asarray(part) for part in pair] for name, pair in fold(self.spec, self.model).items()}

        def fake(name: str, value: Any) -> Any:
            if name not in ranges or self._passes(name):
                return value
            return tf.quantization.fake_quant_with_min_max_args(value, ranges[name].low, ranges[name].high)

        graph = tf.Graph()
        with graph.as_default():
            image = tf.compat.v1.placeholder(tf.float32, (1, *self._layers[0].input_shapes[0]), name=INPUT)
            constants = {name: (tf.constant(kernel), tf.constant(bias)) for name, (kernel, bias) in weights.items()}
            out = walk(self._layers, constants, image, fake, export=True)
            tf.identity(out, name=OUTPUT)
        return bytes(graph.as_graph_def().SerializeToString())

    def _passes(self, name: str) -> bool:
        """Whether a value lies on its range's grid without rounding: it was only chosen or moved."""
        return name != INPUT and self._layer[name].op in _UNROUNDED

    def _calibrated(self, images: NDArray[np.float32]) -> dict[str, Range]:
        """The range of each group that distorts its values least, the input's but for pixels."""
        tf = import_tensorflow()
        seen: dict[str, list[NDArray[np.float32]]] = {}

        def look(name: str, value: Any) -> Any:
            if not self._passes(name):
                values = np.asarray(value)
                keep = max(1, _LOOKED_AT // len(images))
                flat = values.reshape(len(values), -1)
                stride = max(1, flat.shape[1] // keep)
                # The extremes come along whatever the stride steps over.
                ends = np.stack([flat.min(axis=1), flat.max(axis=1)], axis=1)
                seen.setdefault(self._groups[name], []).append(np.concatenate([flat[:, ::stride], ends], axis=1))
            return value

        weights = fold(self.spec, self.model)
        for start in range(0, len(images), _CALIBRATION_BATCH):
            walk(self._hidden, weights, tf.constant(images[start : start + _CALIBRATION_BATCH]), look)
        chosen = {group: _least_distorting(np.concatenate([p.ravel() for p in parts])) for group, parts in seen.items()}
        return {**chosen, self._groups[INPUT]: INPUT_RANGE}


def _least_distorting(values: NDArray[np.float32]) -> Range:
    """Of the ranges that end at a share of the largest values, the one with the least mean squared error."""
    low, high = min(0.0, float(values.min())), max(_SMALLEST_RANGE, float(values.max()))

    def distortion(one: Range) -> float:
        steps = np.round(np.clip(values, one.low, one.high) / one.scale)
        return float(np.mean((steps * one.scale - values) ** 2))

    return min((Range(low * share, high * share).nudged() for share in _SHARES), key=distortion)


def _fake_weights(tf: Any, layer: LayerSpec, kernel: Any, bias: Any, input_scale: Any) -> tuple[Any, Any]:
    """Kernel and bias as the int8 and int32 that they will be, dequantized; gradients pass straight through."""
    axes = [0, 1, 3] if layer.op == "depthwise" else list(range(len(kernel.shape) - 1))
    largest = tf.maximum(tf.reduce_max(tf.abs(kernel), axes, keepdims=True), _SMALLEST_WEIGHT)
    scale = tf.stop_gradient(largest / _LARGEST_WEIGHT)
    bias_scale = tf.stop_gradient(tf.reshape(scale, (-1,)) * tf.cast(input_scale, tf.float32))
    return _straight_through(tf, kernel, scale), _straight_through(tf, bias, bias_scale)


def _straight_through(tf: Any, value: Any, scale: Any) -> Any:
    return value + tf.stop_gradient(tf.round(value / scale) * scale - value)
