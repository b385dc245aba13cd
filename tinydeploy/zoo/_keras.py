"""Layer descriptions to a Keras model: the one place that knows how each layer is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from tinydeploy._tensorflow import import_keras
from tinydeploy.zoo._layers import INPUT, LayerSpec
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
    image = keras.layers.Input(spec.input_shape, batch_size=batch_size, name=INPUT)
    values = {INPUT: image}
    for layer in layers:
        if layer.op == "softmax" and not softmax:
            continue
        (source,) = (values[name] for name in layer.inputs)
        values[layer.name] = _apply(keras, layer, source, seeds, dropout)
    last = layers[-1] if softmax else layers[-2]
    return keras.Model(image, values[last.name], name=spec.arch)


def _apply(keras: Any, layer: LayerSpec, x: Any, seeds: Iterator[int], dropout: float) -> Any:
    """`x` through `layer`. Its last Keras layer bears its name, and so will the tensor in the .tflite."""
    kl, initializers = keras.layers, keras.initializers
    kernel_name = f"{layer.name}_kernel" if layer.batch_norm else layer.name
    norm_name = f"{layer.name}_norm" if layer.activation != "none" else layer.name
    match layer.op:
        case "conv":
            x = kl.Conv2D(
                layer.output_shape[-1],
                layer.kernel,
                strides=layer.stride,
                padding="same",
                use_bias=not layer.batch_norm,
                kernel_initializer=initializers.HeNormal(seed=next(seeds)),
                name=kernel_name,
            )(x)
        case "depthwise":
            # Keras counts all channels into the fan of a depthwise kernel, though each output sees only its taps.
            spread = math.sqrt(2 / math.prod(layer.kernel))
            x = kl.DepthwiseConv2D(
                layer.kernel,
                strides=layer.stride,
                padding="same",
                use_bias=not layer.batch_norm,
                depthwise_initializer=initializers.TruncatedNormal(stddev=spread, seed=next(seeds)),
                name=kernel_name,
            )(x)
        case "global_average_pool":
            return kl.GlobalAveragePooling2D(name=layer.name)(x)
        case "dense":
            if dropout:
                x = kl.Dropout(dropout, seed=next(seeds), name=f"{layer.name}_dropout")(x)
            initializer = initializers.GlorotUniform(seed=next(seeds))
            return kl.Dense(layer.output_shape[-1], kernel_initializer=initializer, name=layer.name)(x)
        case "softmax":
            return kl.Softmax(name=layer.name)(x)
    if layer.batch_norm:
        x = kl.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, name=norm_name)(x)
    if layer.activation == "relu6":
        x = kl.ReLU(6.0, name=layer.name)(x)
    return x
