"""Inputs and labels as arrays in an .npz: images, or features such as a keyword's spectrogram.

``inputs`` (N, length), (N, H, W) or (N, H, W, 1 or 3) and ``labels`` (N,), integers from 0; perhaps ``class_names``,
and ``validation_inputs``, ``validation_labels``, ``test_inputs``, ``test_labels`` where the splits are made already;
what is missing is split off by seed. uint8 inputs are images. int8 inputs are features as the device takes them, float
ones are quantized by the range of the training inputs.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.datasets._base import (
    Augmentation,
    Dataset,
    Features,
    Split,
    recipe_for,
    require_images,
    split_note,
    split_off,
)
from tinydeploy.errors import DatasetError

_SHAPES = "(N, length), (N, height, width) or (N, height, width, 1 or 3)"
_IMAGE_AUGMENTATION = Augmentation(shift=0.08, rotation=10, zoom=0.12)


def load(path: Path, *, anomalies: bool = False) -> Dataset:
    """The arrays in `path`; DatasetError says what is wrong with them. `anomalies`: the training may lack them."""
    stored = _read(path)
    parts = {"train": _part(path, stored, "")}
    for split in ("validation", "test"):
        if f"{split}_inputs" in stored:
            parts[split] = _part(path, stored, f"{split}_")
    train_inputs, _ = parts["train"]
    for inputs, _ in parts.values():
        if inputs.shape[1:] != train_inputs.shape[1:] or inputs.dtype != train_inputs.dtype:
            raise DatasetError(f"{path}: the splits differ in shape or type; save them alike")
    names = _class_names(path, stored, max(int(labels.max()) for _, labels in parts.values()) + 1)
    features = None if train_inputs.dtype == np.uint8 else _features(train_inputs)
    splits = {
        split: Split(inputs if features is None else features.levels(inputs), labels)
        for split, (inputs, labels) in parts.items()
    }
    for split, part in splits.items():
        counts = np.bincount(part.labels, minlength=len(names)).tolist()
        require_images(counts, names, _where(path, split, splits), anomalies=anomalies)
    missing = [split for split in ("test", "validation") if split not in splits]
    splits |= split_off(splits["train"], missing)
    recipe = recipe_for(len(splits["train"]), Augmentation() if features else _IMAGE_AUGMENTATION)
    return Dataset(
        name=path.stem,
        source=path.name,
        split_note=split_note("as the file says", missing),
        class_names=names,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        recipe=recipe,
        features=features,
    )


def _where(path: Path, split: str, splits: Mapping[str, Split]) -> str:
    return str(path) if len(splits) == 1 else f"{path}: {split}"


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored}
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist; give an .npz of inputs and labels") from None
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path} cannot be read as .npz ({error}); save it with numpy.savez") from error


def _part(path: Path, stored: Mapping[str, NDArray[Any]], prefix: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Inputs (N, H, W, C) in a type that is known, and labels."""
    for name in (f"{prefix}inputs", f"{prefix}labels"):
        if name not in stored:
            raise DatasetError(f"{path} has no array {name!r}; save it with numpy.savez(file, inputs=..., labels=...)")
    inputs, labels = stored[f"{prefix}inputs"], stored[f"{prefix}labels"]
    if inputs.ndim in (2, 3):  # a vector is one column
        inputs = inputs.reshape(*inputs.shape, *[1] * (4 - inputs.ndim))
    if inputs.ndim != 4 or inputs.shape[-1] not in (1, 3) or inputs.size == 0:
        raise DatasetError(f"{path}: {prefix}inputs is {inputs.shape}; it must be {_SHAPES}")
    if inputs.dtype.kind == "f":
        if not np.isfinite(inputs).all():
            raise DatasetError(f"{path}: {prefix}inputs holds values that are no numbers; mend the features")
        inputs = inputs.astype(np.float64)
    elif inputs.dtype not in (np.uint8, np.int8):
        raise DatasetError(f"{path}: {prefix}inputs is {inputs.dtype}; give uint8 images, or int8 or float features")
    if labels.shape != (len(inputs),) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DatasetError(
            f"{path}: {prefix}labels is {labels.dtype} {labels.shape}; give an integer from 0 for each of the "
            f"{len(inputs):,} inputs"
        )
    return inputs, labels.astype(np.int64)


def _class_names(path: Path, stored: Mapping[str, NDArray[Any]], classes: int) -> tuple[str, ...]:
    if "class_names" not in stored:
        return tuple(str(label) for label in range(classes))
    names = tuple(str(name) for name in stored["class_names"].reshape(-1))
    if len(names) < classes:
        raise DatasetError(f"{path}: there are {len(names)} class_names, and labels up to {classes - 1}; name them all")
    return names


def _features(inputs: NDArray[Any]) -> Features:
    if inputs.dtype == np.int8:
        return Features(1.0, 0)
    low, high = float(inputs.min()), float(inputs.max())
    scale = (high - low) / 255 or 1.0
    return Features(scale, round(-128 - low / scale))
