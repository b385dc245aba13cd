"""Layer descriptions to a Keras model: the one place that knows how each layer is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from tinydeploy._tensorflow import import_keras
from tinydeploy.zoo._layers import CLASSIFIER, INPUT, LayerSpec
from tinydeploy.zoo._spec import ModelSpec

# Keras's 0.99 averages over hundreds of steps; a short training on small data has not many more in all, and would be
# validated with statistics of its early epochs.
_BATCH_NORM_MOMENTUM = 0.9


def build_keras(
    spec: ModelSpec,
    layers: Sequence[LayerSpec],
    *,
    seed: int,
    batch_size: int | None,
    softmax: bool,
    dropout: float,
) -> Any:
    """See ``zoo.build``. Every initializer has a seed of its own, so that no global state takes part."""
    keras = import_keras()
    seeds = count(seed * 1000)
    image = keras.layers.Input(layers[0].input_shapes[0], batch_size=batch_size, name=INPUT)
    values = {INPUT: image}
    splits: dict[tuple[str, ...], Any] = {}
    for layer in layers:
        if layer.op == "softmax" and not softmax:
            continue
        sources = [values[name] for name in layer.inputs]
        if layer.op == "split":
            # One operator for all parts.
            if layer.inputs not in splits:
                splits[layer.inputs] = keras.ops.split(sources[0], layer.groups, axis=-1)
            values[layer.name] = splits[layer.inputs][layer.part]
        else:
            values[layer.name] = _apply(keras, layer, sources, seeds, dropout)
    return keras.Model(image, list(values.values())[-1], name=spec.arch)


def _apply(keras: Any, layer: LayerSpec, sources: Sequence[Any], seeds: Iterator[int], dropout: float) -> Any:
    """`sources` through `layer`. Its last Keras layer bears its name, and so will the tensor in the .tflite."""
    kl, initializers = keras.layers, keras.initializers
    activated = layer.activation != "none"
    norm_name = f"{layer.name}_norm" if activated else layer.name
    kernel_name = f"{layer.name}_kernel" if layer.batch_norm else norm_name
    x = sources[0]
    match layer.op:
        case "conv":
            x = kl.Conv2D(
                layer.output_shape[-1],
                layer.kernel,
                strides=layer.stride,
                padding=layer.padding,
                groups=layer.groups,
                use_bias=layer.bias,
                kernel_initializer=initializers.HeNormal(seed=next(seeds)),
                name=kernel_name,
            )(x)
        case "depthwise":
            # Keras counts all channels into the fan of a depthwise kernel, though each output sees only its taps.
            spread = math.sqrt(2 / math.prod(layer.kernel))
            x = kl.DepthwiseConv2D(
                layer.kernel,
                strides=layer.stride,
                padding=layer.padding,
                use_bias=layer.bias,
                depthwise_initializer=initializers.TruncatedNormal(stddev=spread, seed=next(seeds)),
                name=kernel_name,
            )(x)
        case "dense":
            if dropout and layer.name == CLASSIFIER:
                x = kl.Dropout(dropout, seed=next(seeds), name=f"{layer.name}_dropout")(x)
            initializer = initializers.GlorotUniform(seed=next(seeds))
            x = kl.Dense(layer.output_shape[-1], use_bias=layer.bias, kernel_initializer=initializer, name=kernel_name)(
                x
            )
        case "max_pool":
            return kl.MaxPooling2D(layer.kernel, layer.stride, layer.padding, name=layer.name)(x)
        case "average_pool":
            return kl.AveragePooling2D(layer.kernel, layer.stride, layer.padding, name=layer.name)(x)
        case "global_average_pool":
            return kl.GlobalAveragePooling2D(name=layer.name)(x)
        case "add":
            x = kl.Add(name=norm_name)(sources)
        case "concat":
            return kl.Concatenate(name=layer.name)(sources)
        case "shuffle":
            rows, columns, channels = layer.output_shape
            x = kl.Reshape((rows * columns, layer.groups, channels // layer.groups), name=f"{layer.name}_grouped")(x)
            x = kl.Permute((1, 3, 2), name=f"{layer.name}_transposed")(x)
            return kl.Reshape(layer.output_shape, name=layer.name)(x)
        case "softmax":
            return kl.Softmax(name=layer.name)(x)
    if layer.batch_norm:
        x = kl.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, name=norm_name)(x)
    if activated:
        x = kl.ReLU(6.0 if layer.activation == "relu6" else None, name=layer.name)(x)
    return x
