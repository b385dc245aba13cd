"""Images in class folders: a folder, or a .tar (.gz, .bz2, .xz) or .zip archive of one, read in place.

``<class>/…`` is split here; ``train/<class>/…`` and ``test/<class>/…`` (and ``validation`` or ``val``) keep their own
splits, and what is missing comes out of train. Files above the class folders and hidden files are passed over; any
other file that is not an image is an error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinydeploy.datasets._base import (
    SPLIT_SEED,
    TEST_SHARE,
    VALIDATION_SHARE,
    Augmentation,
    Dataset,
    Recipe,
    Split,
    require_images,
    stratified,
    take,
)
from tinydeploy.datasets._images import Decoded, decode, read_entries
from tinydeploy.errors import DatasetError
from tinydeploy.preprocess import Preprocess, to_channels

_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_SPLITS |= {"val": "validation", "valid": "validation", "validation": "validation"}
_NAMED_BAD_FILES = 3

# Enough steps for a small network, however few the images; no flips, for nobody knows whether left and right matter.
_TRAINING_STEPS = 1500
_EPOCHS_RANGE = (10, 200)
_LEARNING_RATE = 1e-2
_AUGMENTATION = Augmentation(shift=0.08, rotation=10, zoom=0.12)


def load(path: Path, *, input_size: int, channels: int | None) -> Dataset:
    """The images under `path`, cropped and scaled down to `input_size` where they are larger.

    `channels` None keeps grey images grey if all of them are. DatasetError says what is wrong with the folder.
    """
    classes, images = _read(path, input_size, channels)
    present = {split for split, _ in classes}
    class_names = sorted({name for _, name in classes})
    parts = {split: _part(images, split, class_names) for split in sorted(present)}
    if present == {""}:
        _require(parts[""], class_names, str(path))
        note, splits = f"by class, 70 : 10 : 20, seed {SPLIT_SEED}", _split(parts[""], ("test", "validation"))
    else:
        if "train" not in parts:
            raise DatasetError(f"{path} has a {'/'.join(sorted(present))} folder but no train folder; add it")
        for split, part in parts.items():
            _require(part, class_names, f"{path}/{split}")
        missing = [split for split in ("test", "validation") if split not in parts]
        splits = parts | _split(parts["train"], missing)
        note = "as the folders say" + (f"; {', '.join(missing)} from train by class, seed {SPLIT_SEED}" * bool(missing))
    return Dataset(
        name=path.name.split(".")[0],
        source=path.name,
        split_note=note,
        class_names=tuple(class_names),
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        recipe=_recipe(len(splits["train"])),
    )


_Key = tuple[str, str]  # (split or "", class name)
_Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How paths are to be read: below `root`, and by split first or by class at once."""

    root: _Parts
    by_split: bool

    def place(self, parts: _Parts) -> _Key | None:
        """Split and class of a file; None for one that lies above the class folders."""
        if parts[: len(self.root)] != self.root:
            return None
        match self.by_split, parts[len(self.root) :]:
            case True, (split, name, _, *_):
                return _SPLITS[split.lower()], name
            case False, (name, _, *_):
                return "", name
        return None


def _read(path: Path, input_size: int, channels: int | None) -> tuple[set[_Key], list[tuple[_Key, Decoded]]]:
    """All classes, empty ones too, and every image; all images of one size and channel count, in order of path."""
    images: dict[_Parts, Decoded] = {}
    folders: list[_Parts] = []
    bad: list[_Parts] = []
    for parts, data in read_entries(path):
        if data is None:
            folders.append(parts)
        elif (image := decode(data)) is None:
            bad.append(parts)
        elif min(image.shape[:2]) > input_size:  # scaled down now, so that photographs do not fill the memory
            images[parts] = Preprocess(input_size, image.shape[-1]).resize(image[np.newaxis])[0]
        else:
            images[parts] = image
    layout = _layout(list(images))
    _refuse_bad([parts for parts in bad if layout.place(parts)], path)
    found = [(key, image) for parts, image in sorted(images.items()) if (key := layout.place(parts))]
    if not found:
        raise DatasetError(f"{path} holds no class folders of images; lay it out as {path}/<class>/<image>")
    inside_folders = (layout.place((*parts, "any file")) for parts in folders)
    classes = {key for key in inside_folders if key} | {key for key, _ in found}
    return classes, _alike(found, input_size, channels)


def _layout(images: Sequence[_Parts]) -> _Layout:
    """Archives like to have folders around the whole tree; the last folder of a path is never one of them."""
    root: list[str] = []
    for level in zip(*(parts[:-2] for parts in images), strict=False):
        if len(set(level)) > 1 or level[0].lower() in _SPLITS:
            break
        root.append(level[0])
    tops = {parts[len(root)].lower() for parts in images if len(parts) > len(root) + 1}
    return _Layout(tuple(root), bool(tops) and all(top in _SPLITS for top in tops))


def _refuse_bad(bad: Sequence[_Parts], path: Path) -> None:
    if bad:
        named = ", ".join("/".join(parts) for parts in sorted(bad)[:_NAMED_BAD_FILES])
        more = f" and {len(bad) - _NAMED_BAD_FILES} more" if len(bad) > _NAMED_BAD_FILES else ""
        raise DatasetError(f"{path}: no readable image: {named}{more}; repair or remove what is listed")


def _alike(found: Sequence[tuple[_Key, Decoded]], input_size: int, channels: int | None) -> list[tuple[_Key, Decoded]]:
    """The images with one channel count, and one size: their own where they share it, or else the input's."""
    wanted = channels or max(image.shape[-1] for _, image in found)
    alike = [(key, to_channels(image, wanted)) for key, image in found]
    if len({image.shape for _, image in alike}) > 1:
        resize = Preprocess(input_size, wanted).resize
        alike = [(key, resize(image[np.newaxis])[0]) for key, image in alike]
    return alike


def _part(images: Sequence[tuple[_Key, Decoded]], split: str, class_names: Sequence[str]) -> Split:
    mine = [(name, image) for (where, name), image in images if where == split]
    label = {name: number for number, name in enumerate(class_names)}
    shape = images[0][1].shape
    pixels: NDArray[np.uint8] = np.stack([image for _, image in mine]) if mine else np.empty((0, *shape), np.uint8)
    return Split(pixels, np.array([label[name] for name, _ in mine], np.int64))


def _require(part: Split, class_names: Sequence[str], where: str) -> None:
    require_images(np.bincount(part.labels, minlength=len(class_names)).tolist(), class_names, where)


def _split(part: Split, missing: Sequence[str]) -> dict[str, Split]:
    """`part` as train and the `missing` splits."""
    shares = {"test": TEST_SHARE, "validation": VALIDATION_SHARE}
    chosen = stratified(part.labels, [shares[name] for name in missing], SPLIT_SEED)
    names = [*missing, "train"]
    return {name: take(part.images, part.labels, one) for name, one in zip(names, chosen, strict=True)}


def _recipe(train_images: int) -> Recipe:
    least, most = _EPOCHS_RANGE
    epochs = math.ceil(_TRAINING_STEPS / max(1, train_images // 64))
    return Recipe(epochs=min(max(epochs, least), most), learning_rate=_LEARNING_RATE, augmentation=_AUGMENTATION)
