"""Images in class folders: a folder, or a .tar (.gz, .bz2, .xz) or .zip archive of one, read in place.

``<class>/…`` is split here; ``train/<class>/…`` and ``test/<class>/…`` (and ``validation`` or ``val``) keep their own
splits, and what is missing comes out of train. Files above the class folders and hidden files are passed over; any
other file that is not an image is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinydeploy.datasets._base import Augmentation, Dataset, Split, recipe_for, require_images, split_note, split_off
from tinydeploy.datasets._images import Decoded, decode, read_entries
from tinydeploy.errors import DatasetError
from tinydeploy.preprocess import Preprocess, to_channels

_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_SPLITS |= {"val": "validation", "valid": "validation", "validation": "validation"}
_NAMED_BAD_FILES = 3

# No flips, for nobody knows whether left and right matter.
_AUGMENTATION = Augmentation(shift=0.08, rotation=10, zoom=0.12)


def load(
    path: Path, *, input_size: int, channels: int | None, skip_corrupt: bool = False, anomalies: bool = False
) -> Dataset:
    """The images under `path`, cropped and scaled down to `input_size` where they are larger.

    `channels` None keeps grey images grey if all of them are. Files in class folders that are no readable images are
    an error, or with `skip_corrupt` left out and listed. DatasetError says what is wrong with the folder.
    """
    classes, images, skipped = _read(path, input_size, channels, skip_corrupt)
    present = {split or "train" for split, _ in classes}
    class_names = sorted({name for _, name in classes})
    if "train" not in present:
        raise DatasetError(f"{path} has a {'/'.join(sorted(present))} folder but no train folder; add it")
    by_split = any(split for split, _ in classes)
    parts = {}
    for split in sorted(present):
        parts[split] = _part(images, split if by_split else "", class_names)
        counts = np.bincount(parts[split].labels, minlength=len(class_names)).tolist()
        require_images(counts, class_names, f"{path}/{split}" if by_split else str(path), anomalies=anomalies)
    missing = [split for split in ("test", "validation") if split not in parts]
    parts |= split_off(parts["train"], missing)
    return Dataset(
        name=path.name.split(".")[0],
        source=path.name,
        split_note=split_note("as the folders say", missing),
        class_names=tuple(class_names),
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        recipe=recipe_for(len(parts["train"]), _AUGMENTATION),
        skipped=tuple("/".join(parts) for parts in skipped),
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


def _read(
    path: Path, input_size: int, channels: int | None, skip_corrupt: bool
) -> tuple[set[_Key], list[tuple[_Key, Decoded]], list[_Parts]]:
    """All classes, empty ones too; the images, of one size and channel count, in order of path; what was unreadable."""
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
    unreadable = sorted(parts for parts in bad if layout.place(parts))
    if not skip_corrupt:
        _refuse_bad(unreadable, path)
    found = [(key, image) for parts, image in sorted(images.items()) if (key := layout.place(parts))]
    if not found:
        raise DatasetError(f"{path} holds no class folders of images; lay it out as {path}/<class>/<image>")
    inside_folders = (layout.place((*parts, "any file")) for parts in folders)
    classes = {key for key in inside_folders if key} | {key for key, _ in found}
    return classes, _alike(found, input_size, channels), unreadable


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
        named = ", ".join("/".join(parts) for parts in bad[:_NAMED_BAD_FILES])
        more = f" and {len(bad) - _NAMED_BAD_FILES} more" if len(bad) > _NAMED_BAD_FILES else ""
        raise DatasetError(
            f"{path}: no readable image: {named}{more}; repair or remove what is listed, or leave it out with "
            "--skip-corrupt"
        )


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
