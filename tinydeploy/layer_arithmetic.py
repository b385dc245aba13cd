"""The arithmetic of a network of the zoo: MACs, parameters, bytes and memory access, on no board in particular."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinydeploy import zoo
from tinydeploy.zoo import LayerSpec, ModelSpec


@dataclass(frozen=True, slots=True)
class Saving:
    """What a layer, or a depthwise layer with the pointwise one after it, needs of a standard convolution's MACs.

    Depthwise separable: ``1/N + 1/Dk^2`` for N output channels and kernels of Dk^2 taps (MobileNetV1, section 3.1).
    Grouped: ``1/groups``. `layers` are those that the standard convolution would replace.
    """

    layers: tuple[str, ...]
    standard_macs: int
    share: float
    formula: str


@dataclass(frozen=True, slots=True)
class LayerArithmetic:
    """One layer of the description; bytes are of int8 activations and deployed weights.

    `access` is ShuffleNet V2's memory access cost; `saving` stands at the pointwise layer of a pair.
    """

    name: str
    title: str
    output_shape: tuple[int, ...]
    macs: int
    parameters: int
    weights_bytes: int
    activation_bytes: int
    access: int
    saving: Saving | None


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A network in all.

    `standard_macs` is what the MACs would be with standard convolutions in place of separable and grouped ones,
    `activation_bytes` what must be alive at once at the least, at `peak_layer`.
    """

    spec: ModelSpec
    layers: tuple[LayerArithmetic, ...]
    macs: int
    standard_macs: int
    parameters: int
    weights_bytes: int
    activation_bytes: int
    peak_layer: str
    access: int


def arithmetic_of(spec: ModelSpec, layers: Sequence[LayerSpec]) -> Arithmetic:
    """The arithmetic of `spec`, whose description `layers` are."""
    savings = separable_savings(layers)
    replaced = {name for saving in savings.values() for name in saving.layers}
    standard = sum(saving.standard_macs for saving in savings.values())
    standard += sum(layer.macs for layer in layers if layer.name not in replaced)
    footprint = zoo.footprint(layers)
    return Arithmetic(
        spec=spec,
        layers=tuple(
            LayerArithmetic(
                name=layer.name,
                title=layer.title,
                output_shape=layer.output_shape,
                macs=layer.macs,
                parameters=layer.parameters,
                weights_bytes=layer.weights_bytes,
                activation_bytes=layer.input_bytes + layer.output_bytes,
                access=layer.access,
                saving=savings.get(layer.name),
            )
            for layer in layers
        ),
        macs=footprint.macs,
        standard_macs=standard,
        parameters=footprint.parameters,
        weights_bytes=footprint.weights_bytes,
        activation_bytes=footprint.activation_bytes,
        peak_layer=footprint.peak_layer,
        access=sum(layer.access for layer in layers),
    )


def separable_savings(layers: Sequence[LayerSpec]) -> dict[str, Saving]:
    """The saving of every depthwise separable pair, by its pointwise layer's name, and of every grouped convolution."""
    by_name = {layer.name: layer for layer in layers}
    found = {}
    for layer in layers:
        before = by_name.get(layer.inputs[0])
        if layer.op == "conv" and layer.groups > 1:
            formula = f"1/{layer.groups}"
            found[layer.name] = Saving((layer.name,), layer.macs * layer.groups, 1 / layer.groups, formula)
        elif layer.op == "conv" and layer.kernel == (1, 1) and before is not None and before.op == "depthwise":
            taps, width = math.prod(before.kernel), layer.output_shape[-1]
            standard = math.prod(before.output_shape) * taps * width
            formula = f"1/{width} + 1/{taps}"
            found[layer.name] = Saving((before.name, layer.name), standard, 1 / width + 1 / taps, formula)
    return found
