"""Datasets: one file per source, each giving a ``Dataset`` of images, labels, class names and honest splits."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

from tinydeploy.datasets import _arrays, cifar10, class_folders, digits, fashion_mnist
from tinydeploy.datasets._anomalies import as_anomalies
from tinydeploy.datasets._base import SPLIT_SEED, Augmentation, Dataset, Features, Recipe, Split
from tinydeploy.datasets._images import decode
from tinydeploy.errors import DatasetError, UsageError, did_you_mean

__all__ = ["NAMES", "SPLIT_SEED", "Augmentation", "Dataset", "Features", "Recipe", "Split", "decode", "load", "stamp"]

_SOURCES = {"digits": digits, "cifar10": cifar10, "fashion_mnist": fashion_mnist}
NAMES = tuple(_SOURCES)


def load(
    name: str | None,
    *,
    data: Path | None = None,
    input_size: int = 48,
    channels: int | None = None,
    skip_corrupt: bool = False,
    anomalies: bool = False,
) -> Dataset:
    """The dataset `name`, or the class folders or arrays (.npz) in `data` when `name` is None.

    cifar10 and fashion_mnist take a local copy in `data`. `input_size` bounds the size at which large images are kept.
    `channels` is what the network will take (1 grey, 3 RGB); None leaves the data's own. `skip_corrupt` leaves out
    what cannot be read instead of refusing it. `anomalies`: what is normal is to be learned, and all else to be told
    from it. Raises UsageError for an unknown name, DatasetError for unusable data.
    """
    _check(name, data)
    if name == "digits":
        found = digits.load()
    elif name is not None:
        known = {"cifar10": cifar10.load, "fashion_mnist": fashion_mnist.load}
        found = known[name](data, input_size=input_size, channels=channels, skip_corrupt=skip_corrupt)
    elif data is not None and data.suffix == ".npz":
        found = _arrays.load(data, anomalies=anomalies)
    else:
        assert data is not None
        found = class_folders.load(
            data, input_size=input_size, channels=channels, skip_corrupt=skip_corrupt, anomalies=anomalies
        )
    return as_anomalies(found) if anomalies else found


def stamp(name: str | None, *, data: Path | None = None) -> str:
    """A cheap SHA-256, in hex, that changes when the data or its own recipe may have: to tell without loading that
    nothing did.

    Files count by path, size and time of change.
    """
    _check(name, data)
    state = hashlib.sha256(repr(name).encode())
    if name is not None:
        state.update(repr(_SOURCES[name].RECIPE).encode())
    if name == "digits":
        try:
            state.update(importlib.metadata.version("scikit-learn").encode())
        except importlib.metadata.PackageNotFoundError:
            state.update(b"missing")
    if data is not None:
        if not data.exists():
            raise DatasetError(f"{data} does not exist; give a folder or archive of class folders, or an .npz")
        for file in [data, *sorted(data.rglob("*"))]:
            status = file.stat()
            entry = (file.relative_to(data).as_posix(), file.is_dir(), status.st_size, status.st_mtime_ns)
            state.update(repr(entry).encode())
    return state.hexdigest()


def _check(name: str | None, data: Path | None) -> None:
    if name is None and data is None:
        raise UsageError(f"no dataset; choose --dataset {' or '.join(NAMES)}, or give --data FOLDER or FILE.npz")
    if name is not None and name not in NAMES:
        hint = did_you_mean(name, NAMES) or f"; choose from {', '.join(NAMES)}, or give --data FOLDER or FILE.npz"
        raise UsageError(f"unknown dataset {name!r}{hint}")
    if name == "digits" and data is not None:
        raise UsageError(
            "the digits ship inside scikit-learn; leave --data away, or leave --dataset away to train on it"
        )
