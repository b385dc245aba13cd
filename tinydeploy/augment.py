"""Random distortions of training images, as one affine map each; inside TensorFlow, drawn from stateless seeds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinydeploy._tensorflow import import_tensorflow
from tinydeploy.datasets import Augmentation


def augmenter(augmentation: Augmentation) -> Callable[[Any, Any], Any]:
    """A function of float32 images (N, H, W, C) in pixel values and an int32[2] seed, which gives images like them.

    The same images and seed give the same result.
    """
    tf = import_tensorflow()
    fill = tf.constant(float(augmentation.background))

    def distort(images: Any, seed: Any) -> Any:
        count, size = tf.shape(images)[0], images.shape[1]
        drawn = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
        shift = drawn[:2] * (augmentation.shift * size)
        angle = drawn[2] * math.radians(augmentation.rotation)
        stretch = 1.0 + drawn[3:5] * augmentation.zoom
        mirror = tf.sign(drawn[5]) if augmentation.flip else tf.ones_like(angle)
        # From output to input pixels, about the centre: x' = a x + b y + c, y' = d x + e y + f.
        a, b = mirror * stretch[0] * tf.cos(angle), -stretch[0] * tf.sin(angle)
        d, e = mirror * stretch[1] * tf.sin(angle), stretch[1] * tf.cos(angle)
        centre = (size - 1) / 2
        c = centre - centre * (a + b) + shift[0]
        f = centre - centre * (d + e) + shift[1]
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
