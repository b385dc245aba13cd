"""CIFAR-10 (Krizhevsky, 2009): 60,000 colour photographs of 32x32, 10 classes, with its own test set of 10,000."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tinydeploy.datasets import class_folders
from tinydeploy.datasets._base import Augmentation, Dataset, Recipe, with_validation
from tinydeploy.datasets._downloads import through_keras
from tinydeploy.errors import DatasetError

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# The customary four pixels of shift, and mirrors: an aeroplane flies both ways.
RECIPE = Recipe(
    epochs=30,
    learning_rate=3e-3,
    augmentation=Augmentation(shift=0.125, flip=True),
    weight_decay=0.02,
    batch_size=128,
)


def load(path: Path | None, *, input_size: int, channels: int | None, skip_corrupt: bool) -> Dataset:
    """CIFAR-10 from `path`, a folder or archive of class folders, or else through Keras's download and its cache.

    Validation is a tenth of the training set, by class.
    """
    if path is not None:
        found = class_folders.load(path, input_size=input_size, channels=channels, skip_corrupt=skip_corrupt)
        if found.class_names != CLASS_NAMES:
            raise DatasetError(
                f"{path} does not hold CIFAR-10's ten classes ({', '.join(CLASS_NAMES[:3])}, …); "
                "leave --dataset away to train on it as it is"
            )
        return dataclasses.replace(found, name="cifar10", recipe=RECIPE)
    train, test = through_keras("cifar10", "FOLDER_OR_ARCHIVE of class folders")
    return with_validation("cifar10", "CIFAR-10 through keras.datasets", CLASS_NAMES, train, test, RECIPE)
