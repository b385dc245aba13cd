"""A zoo network in plain TensorFlow, batch normalization folded into the weights, any value replaced on its way.

That is the network as the converter sees it. Quantization-aware training and its export walk through it with fake
quantization in place; walked through as it is, it gives every layer's float activations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinydeploy import zoo
from tinydeploy._tensorflow import import_tensorflow
from tinydeploy.zoo import LayerSpec

INPUT = "input"

Values = dict[str, Any]
# (kernel, bias) of a layer: HWIO for convolutions, HWC1 for depthwise ones, IO for dense layers; bias (O,).
Weights = Mapping[str, tuple[Any, Any]]
# (name of a value, value) to what goes on in its place.
Replace = Callable[[str, Any], Any]


def fold(spec: zoo.ModelSpec, model: Any) -> Weights:
    """Kernels and biases of a Keras model of `spec`, each batch normalization's inference form folded in.

    Computed from the model's variables, so that gradients flow to kernels, scales and shifts; the statistics stand
    still.
    """
    tf = import_tensorflow()
    found = {}
    for layer in zoo.describe(spec):
        if not layer.weights:
            continue
        norm_name = layer.name if layer.activation == "none" else f"{layer.name}_norm"
        kept = model.get_layer(f"{layer.name}_kernel" if layer.batch_norm else norm_name)
        kernel = tf.convert_to_tensor(kept.kernel)
        bias = tf.convert_to_tensor(kept.bias) if layer.bias else tf.zeros(layer.output_shape[-1:])
        if layer.batch_norm:
            norm = model.get_layer(norm_name)
            factor = norm.gamma / tf.sqrt(norm.moving_variance + norm.epsilon)
            bias = norm.beta + (bias - norm.moving_mean) * factor
            kernel = kernel * (factor[:, tf.newaxis] if layer.op == "depthwise" else factor)
        found[layer.name] = (kernel, bias)
    return found


def walk(layers: Sequence[LayerSpec], weights: Weights, images: Any, replace: Replace, *, export: bool = False) -> Any:
    """`images`, real (N, H, W, C), through `layers`; the last value. `replace` sees the input and every layer's value.

    For `export` grouped convolutions are one operator, which TensorFlow can write but not run.
    """
    tf = import_tensorflow()
    values: Values = {INPUT: replace(INPUT, images)}
    splits: dict[tuple[str, ...], Any] = {}
    for layer in layers:
        with tf.name_scope(layer.name):
            sources = [values[name] for name in layer.inputs]
            if layer.op == "split":  # one operator for all parts
                if layer.inputs not in splits:
                    splits[layer.inputs] = tf.split(sources[0], layer.groups, axis=-1)
                value = splits[layer.inputs][layer.part]
            else:
                value = _apply(tf, layer, sources, weights, export)
            values[layer.name] = replace(layer.name, value)
    return values[layers[-1].name]


def _apply(tf: Any, layer: LayerSpec, sources: Sequence[Any], weights: Weights, export: bool) -> Any:
    x = sources[0]
    padding, window = layer.padding.upper(), layer.kernel
    match layer.op:
        case "conv":
            kernel, bias = weights[layer.name]
            x = _convolution(tf, layer, x, kernel, padding, 1 if export else layer.groups) + bias
        case "depthwise":
            kernel, bias = weights[layer.name]
            x = tf.nn.depthwise_conv2d(x, kernel, [1, layer.stride, layer.stride, 1], padding) + bias
        case "dense":
            kernel, bias = weights[layer.name]
            x = tf.matmul(x, kernel) + bias
        case "max_pool":
            return tf.nn.max_pool2d(x, window, layer.stride, padding)
        case "average_pool":
            return tf.nn.avg_pool2d(x, window, layer.stride, padding)
        case "global_average_pool":
            return tf.reduce_mean(x, [1, 2])
        case "add":
            x = sources[0] + sources[1]
        case "concat":
            return tf.concat(sources, axis=-1)
        case "shuffle":
            count = x.shape[0] if x.shape[0] is not None else -1
            rows, columns, channels = layer.output_shape
            x = tf.reshape(x, (count, rows * columns, layer.groups, channels // layer.groups))
            return tf.reshape(tf.transpose(x, (0, 1, 3, 2)), (count, *layer.output_shape))
        case "softmax":
            return tf.nn.softmax(x)
    if layer.activation == "relu":
        x = tf.nn.relu(x)
    elif layer.activation == "relu6":
        x = tf.nn.relu6(x)
    return x


def _convolution(tf: Any, layer: LayerSpec, x: Any, kernel: Any, padding: str, groups: int) -> Any:
    if groups == 1:
        return tf.nn.conv2d(x, kernel, layer.stride, padding)
    parts = zip(tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
    return tf.concat([tf.nn.conv2d(part, own, layer.stride, padding) for part, own in parts], axis=-1)


def float_activations(spec: zoo.ModelSpec, model: Any, images: Any) -> Values:
    """Every layer's output of a Keras `model` of `spec` for real `images`, by name, the softmax included."""
    tf = import_tensorflow()
    found: Values = {}

    def keep(name: str, value: Any) -> Any:
        found[name] = value
        return value

    walk(zoo.describe(spec), fold(spec, model), tf.constant(images), keep)
    return found
