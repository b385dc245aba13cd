"""Random distortions of training images, as one affine map each; inside TensorFlow, drawn from stateless seeds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinydeploy._tensorflow import import_tensorflow
from tinydeploy.datasets import Augmentation

# The draws of cutout come from another stream than those of the map: a second seed, this far from the first.
_CUTOUT_SEED = (0, 0x5EED)


def augmenter(augmentation: Augmentation) -> Callable[[Any, Any], Any]:
    """A function of float32 images (N, H, W, C) in pixel values and an int32[2] seed, which gives images like them.

    The same images and seed give the same result. Mixing pairs, which changes labels too, is ``mixed``'s.
    """
    mapped, cut = _mapper(augmentation), _cutter(augmentation)
    return lambda images, seed: cut(mapped(images, seed), seed)


def mixed(values: Any, share: Any) -> Any:
    """`share` of each row of `values` (images, or their targets) and the rest of its partner's, last with first."""
    return share * values + (1.0 - share) * values[::-1]


def _mapper(augmentation: Augmentation) -> Callable[[Any, Any], Any]:
    if not (augmentation.shift or augmentation.rotation or augmentation.zoom or augmentation.flip):
        return lambda images, seed: images
    tf = import_tensorflow()
    fill = tf.constant(float(augmentation.background))
    whole_pixels = not (augmentation.rotation or augmentation.zoom)

    def distort(images: Any, seed: Any) -> Any:
        count, rows, columns = tf.shape(images)[0], images.shape[1], images.shape[2]
        drawn = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
        across, down = drawn[0] * (augmentation.shift * columns), drawn[1] * (augmentation.shift * rows)
        if whole_pixels:  # nothing between pixels, so nothing blurs
            across, down = tf.round(across), tf.round(down)
        angle = drawn[2] * math.radians(augmentation.rotation)
        stretch = 1.0 + drawn[3:5] * augmentation.zoom
        mirror = tf.sign(drawn[5]) if augmentation.flip else tf.ones_like(angle)
        # From output to input pixels, about the centre: x' = a x + b y + c, y' = d x + e y + f.
        a, b = mirror * stretch[0] * tf.cos(angle), -stretch[0] * tf.sin(angle)
        d, e = mirror * stretch[1] * tf.sin(angle), stretch[1] * tf.cos(angle)
        middle_x, middle_y = (columns - 1) / 2, (rows - 1) / 2
        c = middle_x - a * middle_x - b * middle_y + across
        f = middle_y - d * middle_x - e * middle_y + down
        none = tf.zeros_like(a)
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack([a, b, c, d, e, f, none, none], axis=1),
            output_shape=tf.shape(images)[1:3],
            fill_value=fill,
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )

    return distort


def _cutter(augmentation: Augmentation) -> Callable[[Any, Any], Any]:
    if not augmentation.cutout:
        return lambda images, seed: images
    tf = import_tensorflow()

    def covered(length: int, centre: Any) -> Any:
        """(N, length): whether a row or column lies under the square around `centre`, in image widths."""
        half = max(1.0, augmentation.cutout * length) / 2
        return tf.abs(tf.range(length, dtype=tf.float32) + 0.5 - centre[:, tf.newaxis] * length) < half

    def cut(images: Any, seed: Any) -> Any:
        centre = tf.random.stateless_uniform((2, tf.shape(images)[0]), seed + tf.constant(_CUTOUT_SEED, tf.int32))
        rows, columns = covered(images.shape[1], centre[0]), covered(images.shape[2], centre[1])
        hidden = rows[:, :, tf.newaxis, tf.newaxis] & columns[:, tf.newaxis, :, tf.newaxis]
        return tf.where(hidden, float(augmentation.background), images)

    return cut
