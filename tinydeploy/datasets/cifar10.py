"""CIFAR-10 (Krizhevsky, 2009): 60,000 colour photographs of 32x32, 10 classes, with its own test set of 10,000."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from pathlib import Path

import numpy as np

from tinydeploy._tensorflow import import_keras
from tinydeploy.datasets import class_folders
from tinydeploy.datasets._base import (
    SPLIT_SEED,
    VALIDATION_SHARE,
    Augmentation,
    Dataset,
    Recipe,
    Split,
    stratified,
    take,
)
from tinydeploy.errors import DatasetError

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# The customary four pixels of shift, and mirrors: an aeroplane flies both ways.
RECIPE = Recipe(epochs=30, learning_rate=5e-3, augmentation=Augmentation(shift=0.125, flip=True))


def load(path: Path | None, *, input_size: int, channels: int | None) -> Dataset:
    """CIFAR-10 from `path`, a folder or archive of class folders, or else through Keras's download and its cache.

    Validation is a tenth of the training set, by class.
    """
    if path is not None:
        found = class_folders.load(path, input_size=input_size, channels=channels)
        if found.class_names != CLASS_NAMES:
            raise DatasetError(
                f"{path} does not hold CIFAR-10's ten classes ({', '.join(CLASS_NAMES[:3])}, …); "
                "leave --dataset away to train on it as it is"
            )
        return dataclasses.replace(found, name="cifar10", recipe=RECIPE)
    keras = import_keras()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its own progress bar
            (train_images, train_labels), (test_images, test_labels) = keras.datasets.cifar10.load_data()
    except Exception as error:  # Keras raises a bare Exception when the download fails
        raise DatasetError(
            f"cifar10 could not be downloaded ({error}); give a copy with --data FOLDER_OR_ARCHIVE of class folders, "
            "or train on --dataset digits, which needs no network"
        ) from error
    labels = np.asarray(train_labels, np.int64).reshape(-1)
    validation, train = stratified(labels, (VALIDATION_SHARE,), SPLIT_SEED)
    return Dataset(
        name="cifar10",
        source="CIFAR-10 through keras.datasets",
        split_note=f"its own test set; validation a tenth of train by class, seed {SPLIT_SEED}",
        class_names=CLASS_NAMES,
        train=take(train_images, labels, train),
        validation=take(train_images, labels, validation),
        test=Split(np.asarray(test_images), np.asarray(test_labels, np.int64).reshape(-1)),
        recipe=RECIPE,
    )
