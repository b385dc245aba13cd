"""Datasets that Keras downloads and keeps in its cache."""

from __future__ import annotations

import contextlib
import importlib
import io

import numpy as np
from numpy.typing import NDArray

from tinydeploy._tensorflow import import_keras
from tinydeploy.datasets._base import Split
from tinydeploy.errors import DatasetError


def through_keras(name: str, copies: str) -> tuple[Split, Split]:
    """Training and test images of ``keras.datasets.NAME``; `copies` says what ``--data`` takes in its place.

    DatasetError where there is neither a cache nor a network.
    """
    import_keras()
    module = importlib.import_module(f"keras.datasets.{name}")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its own progress bar
            loaded = module.load_data()
    except Exception as error:  # Keras raises a bare Exception when the download fails
        raise DatasetError(
            f"{name} could not be downloaded ({error}); give a copy with --data {copies}, or train on "
            "--dataset digits, which needs no network"
        ) from error
    train, test = ((np.asarray(images), np.asarray(labels, np.int64).reshape(-1)) for images, labels in loaded)
    return _split(*train), _split(*test)


def _split(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    return Split(images if images.ndim == 4 else images[..., np.newaxis], labels)
