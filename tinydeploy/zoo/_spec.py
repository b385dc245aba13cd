"""What names a network: architecture, width, input and classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from tinydeploy.zoo._layers import LayerSpec

CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One network of the zoo. Square images of `input_size` pixels, `channels` 1 (grey) or 3 (RGB), `classes` outputs.

    `alpha` is the width multiplier in (0, 1]: every layer keeps that share of its channels. Values out of range raise
    UsageError here, so that nothing later checks them again; whether the architecture exists and can take the input
    size is said by ``zoo.describe``.
    """

    arch: str
    alpha: float
    input_size: int
    channels: int
    classes: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and 0 < self.alpha <= 1):
            raise UsageError(
                f"--alpha {self.alpha:g} is out of range; choose a width above 0 and up to 1, such as 0.25"
            )
        if self.input_size < 1:
            raise UsageError(f"--input-size {self.input_size} is out of range; choose a size in pixels, such as 48")
        if self.channels not in CHANNELS:
            raise UsageError(f"{self.channels} channels are not supported; choose 1 (grey) or 3 (RGB)")
        if self.classes < 2:
            raise UsageError(f"a classifier needs at least 2 classes, got {self.classes}; add a class to the data")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        return (self.input_size, self.input_size, self.channels)

    @property
    def name(self) -> str:
        """A short name for files and titles, such as ``mobilenet_v1_0.25_48``."""
        return f"{self.arch}_{self.alpha:g}_{self.input_size}"

    def width(self, filters: int) -> int:
        """`filters` thinned by alpha, as the papers and Keras do it: rounded down, at least one channel."""
        return max(1, int(filters * self.alpha + 1e-9))  # 1e-9: 100 * 0.29 must be 29, not 28


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network family: its command-line name, a title with its source, and the function that lays it out."""

    name: str
    title: str
    layers: Callable[[ModelSpec], tuple[LayerSpec, ...]]
