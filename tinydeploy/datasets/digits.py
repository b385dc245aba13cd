"""The handwritten digits that ship inside scikit-learn: 1,797 images of 8x8, 17 grey levels, 10 classes, no download.

They are the test part of UCI's "Optical Recognition of Handwritten Digits" (13 writers), who share all three splits
here: the accuracy is that on known writers.
"""

from __future__ import annotations

import numpy as np

from tinydeploy.datasets._base import (
    SPLIT_SEED,
    TEST_SHARE,
    VALIDATION_SHARE,
    Augmentation,
    Dataset,
    Recipe,
    stratified,
    take,
)
from tinydeploy.errors import ToolchainError

_TOP_LEVEL = 16
# No flips, and small rotations only: a mirrored 2 is none, and a 6 upside down is a 9. So few images make few steps:
# small batches make more of them in the same time, and they have to be long ones. Smoothing brings the seeds closer
# together: MobileNet 0.25 at 48x48 ends between 98.6 and 98.9 % after quantization in three seeds, where twice as large
# batches of less distorted images gave 98.05 to 98.9 %.
RECIPE = Recipe(
    epochs=40,
    learning_rate=1.5e-2,
    augmentation=Augmentation(shift=0.1, rotation=15, zoom=0.15, background=0),
    label_smoothing=0.1,
    batch_size=32,
)


def load() -> Dataset:
    """The digits, split 70 : 10 : 20 by class. ToolchainError when scikit-learn is missing."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ToolchainError(
            "the digits ship inside scikit-learn, which is missing: pip install 'tinydeploy[train]'"
        ) from error
    bunch = load_digits()
    levels = np.asarray(bunch.images)
    images = np.rint(levels * (255 / _TOP_LEVEL)).astype(np.uint8)[..., np.newaxis]
    labels = np.asarray(bunch.target, np.int64)
    test, validation, train = stratified(labels, (TEST_SHARE, VALIDATION_SHARE), SPLIT_SEED)
    return Dataset(
        name="digits",
        source="scikit-learn's handwritten digits (UCI, 1998)",
        split_note=f"by class, 70 : 10 : 20, seed {SPLIT_SEED}",
        class_names=tuple(str(name) for name in bunch.target_names),
        train=take(images, labels, train),
        validation=take(images, labels, validation),
        test=take(images, labels, test),
        recipe=RECIPE,
    )
