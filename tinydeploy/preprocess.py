"""Preprocessing, defined once: what happens to a camera's pixels before the first layer.

Training applies it here in numpy; the firmware's header is generated from the same object. After resizing, every pixel
goes through one table of 256 entries, uint8 to int8, so that Python and C agree on every value. With the scale and zero
point that ``quantize`` arranges (1/128 and 0) the table is ``q = pixel - 128``.

Resizing happens on the host: the device takes pixels at the input size. It is exact too, in integers: weights are
multiples of 1/256 along each axis, and a product of 255 with two of them fits float32's 24-bit significand.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_WEIGHT_ONE = 256
_CHUNK_IMAGES = 256  # float32 copies of more would fill the memory


@dataclass(frozen=True, slots=True)
class Preprocess:
    """uint8 images of any size to the model's input: (N, input_size, input_size, channels), or `input_width` wide where
    that is not 0.

    A pixel's real value is ``(pixel - offset) / divisor``: -1 to 127/128 by default. A `flat` input is a vector: the
    pixels of an image row by row.
    """

    input_size: int
    channels: int
    offset: int = 128
    divisor: int = 128
    input_width: int = 0
    flat: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one input."""
        return self.input_size, self.input_width or self.input_size, self.channels

    @property
    def model_shape(self) -> tuple[int, ...]:
        """The shape of one input as the model takes it."""
        return (math.prod(self.shape),) if self.flat else self.shape

    def resize(self, images: Pixels) -> Pixels:
        """(N, H, W, C) to (N, *shape): the central part of the input's proportions, scaled by a triangle filter.

        Scaled up this is bilinear interpolation between pixel centres; scaled down the triangle widens, so that every
        pixel of the original counts. Channels as ``to_channels`` gives them.
        """
        images = to_channels(images, self.channels)
        if images.shape[1:] == self.shape:
            return images
        resized = np.empty((len(images), *self.shape), np.uint8)
        for start in range(0, len(images), _CHUNK_IMAGES):
            resized[start : start + _CHUNK_IMAGES] = self._resized(images[start : start + _CHUNK_IMAGES])
        return resized

    def _resized(self, images: Pixels) -> NDArray[np.uint32]:
        rows, columns = images.shape[1:3]
        height, width, _ = self.shape
        scale = min(rows / height, columns / width)
        tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (rows - tall) // 2, (columns - wide) // 2
        part = images[:, top : top + tall, left : left + wide].astype(np.float32)
        # (out, in) against axis 2, then axis 1; every sum below 2**24 is exact in float32, in any order.
        across = np.einsum("oi,nhic->nhoc", _resize_weights(wide, width), part, optimize=True)
        sums = np.einsum("oi,niwc->nowc", _resize_weights(tall, height), across, optimize=True).astype(np.uint32)
        one = _WEIGHT_ONE * _WEIGHT_ONE
        return (sums + one // 2) // one

    def real(self, images: Pixels) -> NDArray[np.float32]:
        """The real values that training sees for pixels at the input size, (N, *model shape); exact in float32."""
        real = (images.astype(np.float32) - np.float32(self.offset)) / np.float32(self.divisor)
        return real.reshape(len(images), *self.model_shape)

    def lookup_table(self, scale: float, zero_point: int) -> NDArray[np.int8]:
        """int8[256]: the model's input for each pixel value, for a model whose input has this scale and zero point.

        Rounded half away from zero as TFLite's QUANTIZE does, and saturated.
        """
        steps = (np.arange(256, dtype=np.float64) - self.offset) / self.divisor / scale
        rounded = np.trunc(steps + np.copysign(0.5, steps))
        table: NDArray[np.int8] = np.clip(rounded + zero_point, -128, 127).astype(np.int8)
        return table

    def quantized(self, images: Pixels, scale: float, zero_point: int) -> NDArray[np.int8]:
        """The model's int8 input for pixels at the input size, (N, *model shape)."""
        return self.lookup_table(scale, zero_point)[images].reshape(len(images), *self.model_shape)

    def to_manifest(self) -> Mapping[str, Any]:
        """What a reader of the project folder must know to feed the model, as plain JSON values."""
        return {
            "layout": "NHWC",
            "input_size": self.input_size,
            "input_width": self.shape[1],
            "channels": self.channels,
            "pixel": "uint8",
            "crop": "central square" if self.shape[0] == self.shape[1] else "central part of the input's proportions",
            "resize": "triangle filter (bilinear), on the host",
            "offset": self.offset,
            "divisor": self.divisor,
        }


def to_channels(images: Pixels, channels: int) -> Pixels:
    """Images (..., 1 or 3) as (..., channels): grey by repetition to RGB, RGB to grey by its luma (ITU-R BT.601)."""
    have = images.shape[-1]
    if have == channels:
        return images
    if have == 1:
        return np.repeat(images, channels, axis=-1)
    # Weights in 1/1000, so that white stays 255.
    luma = images.astype(np.uint32) @ np.array([299, 587, 114], np.uint32)
    return ((luma + 500) // 1000).astype(np.uint8)[..., np.newaxis]


@functools.cache
def _resize_weights(size: int, output_size: int) -> NDArray[np.float32]:
    """(output_size, size) weights in 1/256 that sum to 256 in each row."""
    ratio = size / output_size
    reach = max(ratio, 1.0)  # half the width of the triangle, in input pixels
    centres = (np.arange(output_size) + 0.5) * ratio - 0.5
    distance = np.abs(np.arange(size)[np.newaxis] - centres[:, np.newaxis]) / reach
    triangle = np.maximum(1 - distance, 0)
    exact = triangle / triangle.sum(axis=1, keepdims=True) * _WEIGHT_ONE
    weights = np.floor(exact)
    for row in range(output_size):  # the largest remainders take what rounding down left over
        missing = int(_WEIGHT_ONE - weights[row].sum())
        weights[row, np.argsort(weights[row] - exact[row], kind="stable")[:missing]] += 1
    result: NDArray[np.float32] = weights.astype(np.float32)
    return result
