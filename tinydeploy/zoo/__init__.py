"""The network zoo: one file per architecture, described layer by layer without TensorFlow.

``describe`` gives a network's layers with shapes, MACs, parameters and bytes, so that what cannot fit is refused before
an epoch is trained; ``build`` makes the Keras model from the same description. A new architecture is one new file here
with an ``ARCHITECTURE``; nothing lists it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import itertools
import pkgutil
from typing import TYPE_CHECKING

from tinydeploy.errors import UsageError, did_you_mean
from tinydeploy.zoo._layers import Footprint, LayerSpec, Shape, footprint
from tinydeploy.zoo._network import InputTooSmallError
from tinydeploy.zoo._spec import Architecture, ModelSpec, Option, read_size, size_option

if TYPE_CHECKING:
    import keras

__all__ = [
    "Architecture",
    "Footprint",
    "LayerSpec",
    "ModelSpec",
    "Option",
    "Shape",
    "architecture",
    "architectures",
    "build",
    "classifies",
    "describe",
    "footprint",
    "make_spec",
    "read_size",
    "size_option",
]


@functools.cache
def architectures() -> dict[str, Architecture]:
    """Every architecture of the zoo by name, sorted: each module of this package without a leading underscore."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    found = (importlib.import_module(f"{__name__}.{name}").ARCHITECTURE for name in names)
    return {one.name: one for one in found}


def architecture(name: str) -> Architecture:
    """The architecture called `name`; UsageError with a suggestion when there is none."""
    known = architectures()
    if name not in known:
        hint = did_you_mean(name, known) or f"; choose from {', '.join(known)}"
        raise UsageError(f"unknown architecture {name!r}{hint}")
    return known[name]


def classifies(spec: ModelSpec) -> bool:
    """Whether `spec` gives class scores; an autoencoder gives its input again."""
    return architecture(spec.arch).classifies


def make_spec(
    arch: str,
    *,
    alpha: float | None = None,
    input_size: tuple[int, int] | None = None,
    channels: int | None = None,
    classes: int | None = None,
    options: tuple[tuple[str, str], ...] = (),
) -> ModelSpec:
    """A network by its architecture's name, what is None as the architecture has it; UsageError as from ModelSpec."""
    family = architecture(arch)
    height, width = input_size or family.input_size
    return ModelSpec(
        arch,
        family.alpha if alpha is None else alpha,
        height,
        family.channels if channels is None else channels,
        family.classes if classes is None else classes,
        options,
        width,
    )


def describe(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    """The layers of `spec` in execution order, a softmax last where there is one; the input is not among them.

    UsageError when the architecture is unknown, has no such option or cannot take the input size.
    """
    family = architecture(spec.arch)
    spec = family.complete(spec)
    try:
        return family.layers(spec)
    except InputTooSmallError:
        height, width, _ = spec.input_shape
        least = _smallest_input_size(family, spec)
        raise UsageError(
            f"{spec.arch} cannot take {height}x{width} pixels, its strides need at least "
            f"{least.input_shape[0]}x{least.input_shape[1]}: choose --input-size {least.size_text} or more"
        ) from None


def _smallest_input_size(family: Architecture, spec: ModelSpec) -> ModelSpec:
    """`spec` with the least input that the architecture takes; both sides grow alike."""
    height, width, _ = spec.input_shape
    for more in itertools.count(1):
        larger = dataclasses.replace(spec, input_size=height + more, input_width=spec.input_width and width + more)
        with contextlib.suppress(InputTooSmallError):
            family.layers(larger)
            return larger
    raise AssertionError


def build(
    spec: ModelSpec, *, seed: int = 0, batch_size: int | None = None, softmax: bool = False, dropout: float = 0.0
) -> keras.Model:
    """`spec` as a Keras model with fresh weights drawn from `seed`.

    It takes float32 (batch, H, W, C) and gives logits (batch, classes), or probabilities with `softmax`. (The
    autoencoder takes and gives (batch, length).) For export
    set ``batch_size=1``: a free batch dimension puts SHAPE, STRIDED_SLICE and PACK into the .tflite. `dropout` acts
    before the classifier, in training only.
    """
    from tinydeploy.zoo._keras import build_keras  # imports TensorFlow

    return build_keras(spec, describe(spec), seed=seed, batch_size=batch_size, softmax=softmax, dropout=dropout)
