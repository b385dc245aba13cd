"""What names a network: architecture, width, input, classes and the architecture's own options."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinydeploy.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from tinydeploy.zoo._layers import LayerSpec

CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One network of the zoo. Images of `input_size` pixels (by `input_width` where that is not 0: height by width),
    `channels` 1 (grey) or 3 (RGB), `classes` outputs.

    `alpha` is the width multiplier in (0, 1]: every layer keeps that share of its channels. `options` are (name, value)
    pairs of the architecture's own options. Values out of range raise UsageError here, so that nothing later checks
    them again; whether the architecture exists, has the options and can take the input size is said by
    ``zoo.describe``.
    """

    arch: str
    alpha: float
    input_size: int
    channels: int
    classes: int
    options: tuple[tuple[str, str], ...] = ()
    input_width: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and 0 < self.alpha <= 1):
            raise UsageError(
                f"--alpha {self.alpha:g} is out of range; choose a width above 0 and up to 1, such as 0.25"
            )
        if self.input_size < 1 or self.input_width < 0:
            size = f"{self.input_size}x{self.input_width}" if self.input_width else str(self.input_size)
            raise UsageError(f"--input-size {size} is out of range; choose a size in pixels, such as 48")
        if self.channels not in CHANNELS:
            raise UsageError(f"{self.channels} channels are not supported; choose 1 (grey) or 3 (RGB)")
        if self.classes < 2:
            raise UsageError(f"a classifier needs at least 2 classes, got {self.classes}; add a class to the data")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        return (self.input_size, self.input_width or self.input_size, self.channels)

    @property
    def size_option(self) -> str:
        """The same for ``--input-size``: a width that is given stays, for a vector is not a square image."""
        return size_option(self.input_size, self.input_width)

    @property
    def size_text(self) -> str:
        """Height and width in pixels, as ``--input-size`` takes them: 48, or 49x10."""
        height, width, _ = self.input_shape
        return str(height) if height == width else f"{height}x{width}"

    @property
    def name(self) -> str:
        """A short name for files and titles, such as ``mobilenet_v1_0.25_48`` or ``resnet_depth20_0.5_32``."""
        options = "".join(f"_{name}{value}" for name, value in self.options)
        return f"{self.arch}{options}_{self.alpha:g}_{self.size_text}"

    def width(self, filters: int, multiple: int = 1) -> int:
        """`filters` thinned by alpha, as the papers and Keras do it: rounded down, at least one channel.

        With a `multiple`, the nearest multiple of it, but never less than 90 % of what was asked (MobileNetV2's rule).
        """
        thin = filters * self.alpha
        if multiple == 1:
            return max(1, int(thin + 1e-9))  # 1e-9: 100 * 0.29 must be 29, not 28
        rounded = max(multiple, int(thin + multiple / 2) // multiple * multiple)
        return rounded + multiple if rounded < 0.9 * thin else rounded

    def option(self, name: str) -> str:
        """The value of one of the architecture's options; ``zoo.describe`` has filled in the defaults."""
        return dict(self.options)[name]

    def on(self, name: str) -> bool:
        """Whether an on-off option is on."""
        return self.option(name) == "on"


@dataclass(frozen=True, slots=True)
class Option:
    """What an architecture lets one choose: ``--name VALUE`` on the command line."""

    name: str
    default: str
    choices: tuple[str, ...]
    help: str


ON_OFF = ("on", "off")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network family: its command-line name, a title with its source, and the function that lays it out.

    `alpha`, `input_size` (height, and width or 0 for a square), `channels` and `classes` are meant where only the
    architecture is named. `classifies` is False where the output is no class scores.
    """

    name: str
    title: str
    layers: Callable[[ModelSpec], tuple[LayerSpec, ...]]
    options: tuple[Option, ...] = ()
    alpha: float = 0.25
    input_size: tuple[int, int] = (48, 0)
    channels: int = 3
    classes: int = 10
    classifies: bool = True

    def complete(self, spec: ModelSpec) -> ModelSpec:
        """`spec` with the defaults of options not given; UsageError for an option or a value that does not exist."""
        known = {option.name: option for option in self.options}
        for name, value in spec.options:
            if name not in known:
                named = f"; its options are {', '.join(f'--{n}' for n in known)}" if known else "; it has no options"
                raise UsageError(f"{self.name} has no option --{name}{did_you_mean(name, known) or named}")
            if value not in known[name].choices:
                raise UsageError(
                    f"--{name} {value} is not for {self.name}; choose from {', '.join(known[name].choices)}"
                )
        chosen = {**{option.name: option.default for option in self.options}, **dict(spec.options)}
        return dataclasses.replace(spec, options=tuple(chosen.items()))


def read_size(text: str) -> tuple[int, int]:
    """``48`` or ``49x10`` as (height, width), width 0 for a square; UsageError for anything else."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip())
    if found is None:
        raise UsageError(
            f"--input-size {text!r} is no size; give pixels, such as 48, or height by width, such as 49x10"
        )
    return int(found[1]), int(found[2] or 0)


def size_option(height: int, width: int) -> str:
    """(height, width), width 0 for a square, as ``read_size`` takes them."""
    return f"{height}x{width}" if width else str(height)
