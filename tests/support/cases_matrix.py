"""Cases of CONV_2D for the matrix kernels: every form of block, gather and border that they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.case import Build, Case
from support.net import Net
from support.tflite_schema import Padding

SAME, VALID = Padding.SAME, Padding.VALID


def _conv(shape: tuple[int, ...], channels: int, /, input: dict[str, Any] | None = None, **options: Any) -> Build:
    def build(net: Net) -> int:
        return net.conv(net.input((1, *shape), **(input or {})), channels, **options)

    return build


def matrix_cases(numbers: dict[str, dict[str, Any]]) -> Iterator[Case]:
    """Shapes, and every kind of scales and weights of `numbers` with each form of weights."""
    # Taps that share columns: kernels and strides, blocks of three, two and one, channels that need loops.
    for width, kernel, stride, depth in (
        (14, 3, 1, 4),
        (13, 3, 1, 8),
        (12, 3, 2, 4),
        (19, 3, 2, 12),
        (9, 2, 1, 4),
        (11, 5, 1, 4),
        (12, 4, 2, 4),
        (4, 3, 1, 36),
        (3, 3, 2, 64),
        (2, 3, 1, 4),
        (1, 3, 1, 8),
        (8, 6, 1, 4),
        (10, 5, 3, 4),
    ):
        for padding in (SAME, VALID) if width >= kernel else (SAME,):
            options = {"kernel": (min(kernel, 4), kernel), "stride": (1, stride), "padding": padding}
            yield Case(
                "conv",
                f"window-{width}-{kernel}-{stride}-{depth}-{padding.name}",
                _conv((6, width, depth), 6, **options),
            )
    # Inputs too large for a padded copy: blocks at the border and blocks inside.
    for name, shape, options in (
        ("3x3", (12, 32, 4), {}),
        ("3x3-stride-2", (16, 33, 4), {"stride": (2, 2)}),
        ("3x3-image", (20, 22, 3), {"stride": (2, 2)}),
        ("5x5-image", (20, 22, 3), {"kernel": (5, 5)}),
        ("7x7-image", (24, 24, 3), {"kernel": (7, 7), "stride": (2, 2)}),
        ("3x3-to-odd", (12, 32, 4), {}),
        ("1x1-stride-2", (24, 24, 8), {"kernel": (1, 1), "stride": (2, 2)}),
        ("tall-kernel", (40, 9, 4), {"kernel": (12, 3)}),
        ("wide-kernel-7", (9, 40, 4), {"kernel": (3, 7)}),
        ("kernel-wider-than-input", (80, 4, 4), {"kernel": (3, 6)}),
        ("kernel-taller-than-input", (4, 80, 4), {"kernel": (6, 3)}),
    ):
        yield Case("conv", f"bordered-{name}", _conv(shape, 5 if name.endswith("odd") else 6, **options))
    for depth, channels in ((28, 12), (34, 8), (65, 6), (127, 4), (130, 10), (200, 4), (1030, 2), (1400, 2)):
        yield Case("conv", f"long-{depth}-to-{channels}", _conv((2, 4, depth), channels, kernel=(1, 1)))
        yield Case("conv", f"long-{depth}-to-{channels}-one-pixel", _conv((1, 1, depth), channels, kernel=(1, 1)))
        yield Case("conv", f"long-{depth}-to-{channels}-one-column", _conv((3, 1, depth), channels, kernel=(1, 1)))
    for groups, depth, each, options in (
        (2, 4, 4, {"kernel": (1, 1)}),
        (3, 8, 2, {"kernel": (1, 1)}),
        (4, 20, 6, {"kernel": (1, 1)}),
        (2, 5, 2, {"kernel": (1, 1), "stride": (2, 2)}),
        (2, 6, 4, {"kernel": (3, 1)}),
        (2, 4, 2, {}),
        (4, 8, 4, {"stride": (2, 2)}),
        (2, 12, 2, {"kernel": (2, 2), "padding": VALID}),
        (2, 4, 3, {}),
        (2, 3, 2, {}),
    ):
        name = f"groups-{groups}-of-{depth}-to-{each}-{options.get('kernel', (3, 3))}"
        yield Case("conv", name, _conv((9, 10, groups * depth), groups * each, groups=groups, **options))
        yield Case(
            "conv", f"{name}-one-pixel", _conv((1, 1, groups * depth), groups * each, groups=groups, kernel=(1, 1))
        )
    for name, options in numbers.items():
        yield Case("conv", f"{name}-wide", _conv((3, 3, 10), 8, kernel=(1, 1), **options))
        yield Case("conv", f"{name}-narrow", _conv((3, 3, 42), 6, kernel=(1, 1), **options))
        yield Case("conv", f"{name}-four-channels", _conv((3, 3, 42), 8, kernel=(1, 1), **options))
        yield Case("conv", f"{name}-one-pixel", _conv((1, 1, 42), 8, kernel=(1, 1), **options))
        yield Case("conv", f"{name}-window", _conv((3, 5, 4), 6, **options))
