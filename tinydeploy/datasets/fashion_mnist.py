"""Fashion-MNIST (Xiao et al., 2017, arXiv:1708.07747): 70,000 grey pictures of clothes, 28x28, a test set of 10,000."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinydeploy.datasets import _arrays, class_folders
from tinydeploy.datasets._base import Augmentation, Dataset, Recipe, Split, with_validation
from tinydeploy.datasets._downloads import through_keras
from tinydeploy.errors import DatasetError

CLASS_NAMES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# Shoes point left in all of the data, but nobody would call a mirrored one anything else.
RECIPE = Recipe(
    epochs=20,
    learning_rate=3e-3,
    augmentation=Augmentation(shift=0.08, flip=True, background=0),
    weight_decay=0.02,
    batch_size=128,
)
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def load(path: Path | None, *, input_size: int, channels: int | None, skip_corrupt: bool) -> Dataset:
    """Fashion-MNIST from `path` or else through Keras's download and its cache; validation is a tenth of train.

    `path` is a folder of the four IDX files as they are published (gzipped or not), class folders or an archive of
    them, or an .npz.
    """
    if path is None:
        train, test = through_keras("fashion_mnist", "FOLDER (its four IDX files, or class folders)")
        return _dataset(train, test, "Fashion-MNIST through keras.datasets")
    if path.is_dir() and _idx(path, _FILES[0]) is not None:
        train = Split(_read_idx(path, _FILES[0])[..., np.newaxis], _read_idx(path, _FILES[1]).astype(np.int64))
        test = Split(_read_idx(path, _FILES[2])[..., np.newaxis], _read_idx(path, _FILES[3]).astype(np.int64))
        for split, name in ((train, _FILES[0]), (test, _FILES[2])):
            if len(split.images) != len(split.labels) or split.labels.max(initial=0) >= len(CLASS_NAMES):
                raise DatasetError(f"{path}: {name} and its labels do not belong together; download both again")
        return _dataset(train, test, path.name)
    if path.suffix == ".npz":
        found = _arrays.load(path)
    else:
        found = class_folders.load(path, input_size=input_size, channels=channels, skip_corrupt=skip_corrupt)
    if len(found.class_names) != len(CLASS_NAMES):
        raise DatasetError(
            f"{path} holds {len(found.class_names)} classes, Fashion-MNIST has 10; leave --dataset away to train on it "
            "as it is"
        )
    return dataclasses.replace(found, name="fashion_mnist", recipe=RECIPE)


def _dataset(train: Split, test: Split, source: str) -> Dataset:
    return with_validation("fashion_mnist", source, CLASS_NAMES, train, test, RECIPE)


def _idx(folder: Path, name: str) -> Path | None:
    return next((file for file in (folder / name, folder / f"{name}.gz") if file.is_file()), None)


def _read_idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """An IDX file of bytes: two zeros, the type (8), the number of dimensions, each as 32 bits big-endian, the data."""
    file = _idx(folder, name)
    if file is None:
        raise DatasetError(f"{folder} has no {name}(.gz); Fashion-MNIST is {', '.join(_FILES)}")
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        dimensions = data[3]
        sizes = np.frombuffer(data, ">u4", dimensions, 4).astype(int)
        values = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
        if data[:3] != b"\0\0\x08" or dimensions not in (1, 3) or values.size != np.prod(sizes) or values.size == 0:
            raise ValueError("its header and its length disagree")
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise DatasetError(f"{file} is damaged ({error}); download it again") from error
    return values.reshape(sizes)
