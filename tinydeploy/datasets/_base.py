"""What a dataset is once loaded: images, labels and honest splits, whatever it came from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import DatasetError

MIN_IMAGES_PER_CLASS = 5
# From this ratio of largest to smallest class on the accuracy by class is worth a look.
IMBALANCED = 3
SPLIT_SEED = 0
# What is no anomaly, where anomalies are looked for: the class of this name, or else the first.
NORMAL = "normal"
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
_TRAINING_STEPS = 1500
_EPOCHS_RANGE = (10, 200)
_LEARNING_RATE = 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images uint8 (N, H, W, C) and their labels int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random distortions that leave the label true: limits, each drawn uniformly from [-limit, limit].

    `shift` is in image widths, `rotation` in degrees, `zoom` relative; `background` is the pixel value that comes in
    at the edges. Shifts alone are by whole pixels, which is the customary crop of a padded image. `flip` mirrors every
    other image, which is for things that have no left and right. `cutout` is the side of a square of background laid
    somewhere over each image, in image widths (DeVries and Taylor, 2017). `mixup` blends pairs of images and their
    labels by a share drawn from Beta(mixup, mixup) (Zhang et al., 2017); 0 leaves either out.
    """

    shift: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    flip: bool = False
    background: int = 128
    cutout: float = 0.0
    mixup: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How training goes on this data: the peak of `learning_rate`, the share of `dropout` before the classifier.

    `label_smoothing` is the share of certainty that the targets spread over all classes. `weight_decay` is AdamW's,
    times the learning rate, on the kernels of convolutions and dense layers only. With a `patience`, training stops
    after that many epochs without a better validation accuracy, and keeps the best epoch's weights.
    """

    epochs: int
    learning_rate: float
    augmentation: Augmentation
    dropout: float = 0.0
    label_smoothing: float = 0.0
    weight_decay: float = 0.0
    batch_size: int = 64
    patience: int | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """How inputs that are no images became levels of 0 to 255: the device takes ``round(x / scale) + zero_point``.

    A level is that int8 value + 128, so that features go through training as pixels do.
    """

    scale: float
    zero_point: int

    def levels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Feature values as levels, saturated."""
        steps = np.floor(values / self.scale + 0.5) + self.zero_point
        return (np.clip(steps, -128, 127) + 128).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A labelled image set. `source` says in words where it came from (no path), `split_note` how it was split.

    The test split takes no part in training, calibration or any choice made during them; the validation split is only
    looked at, unless the recipe has a patience. `images` keep their own size where they all share one: ``Preprocess``
    brings them to the input's; `features`, where there are any, cannot be resized. `skipped` names the files that were
    asked to be left out because they are no readable images.
    """

    name: str
    source: str
    split_note: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    recipe: Recipe
    features: Features | None = None
    skipped: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return int(self.train.images.shape[-1])

    def counts(self) -> dict[str, list[int]]:
        """How many images of each class each split has."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            name: np.bincount(split.labels, minlength=len(self.class_names)).tolist() for name, split in splits.items()
        }

    def imbalance(self) -> str | None:
        """A sentence where the largest class of the training split has several times the images of the smallest."""
        counts = self.counts()["train"]
        few, many = int(np.argmin(counts)), int(np.argmax(counts))
        if counts[few] == 0 or counts[many] < IMBALANCED * counts[few]:
            return None  # a class that is not there at all is an anomaly
        return (
            f"the classes are out of balance: {counts[many]:,} training images of {self.class_names[many]!r}, "
            f"{counts[few]:,} of {self.class_names[few]!r}; look at the accuracy by class, not at the mean"
        )

    def digest(self) -> str:
        """SHA-256, in hex, of everything that training sees: names, splits, every pixel and label, the recipe."""
        state = hashlib.sha256(repr((self.name, self.class_names, self.recipe)).encode())
        for split in (self.train, self.validation, self.test):
            state.update(repr((split.images.shape, split.labels.shape)).encode())
            state.update(np.ascontiguousarray(split.images).data)
            state.update(np.ascontiguousarray(split.labels).data)
        return state.hexdigest()


def stratified(labels: NDArray[np.int64], shares: Sequence[float], seed: int) -> list[NDArray[np.int64]]:
    """Indices of one split per share and of the rest, last: disjoint, each class in each at about its share.

    Every class gives at least one image to every split; it must have more images than there are shares.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels):
        order = rng.permutation(np.flatnonzero(labels == label))
        counts = [max(1, round(len(order) * share)) for share in shares]
        for part, chosen in zip(parts, np.split(order, np.cumsum(counts)), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def take(images: NDArray[np.uint8], labels: NDArray[np.int64], chosen: NDArray[np.int64]) -> Split:
    """The chosen images and labels as a split."""
    return Split(images[chosen], labels[chosen])


def split_off(part: Split, missing: Sequence[str]) -> dict[str, Split]:
    """`part` as train and the `missing` splits (of test and validation), by class and seed."""
    shares = {"test": TEST_SHARE, "validation": VALIDATION_SHARE}
    chosen = stratified(part.labels, [shares[name] for name in missing], SPLIT_SEED)
    names = [*missing, "train"]
    return {name: take(part.images, part.labels, one) for name, one in zip(names, chosen, strict=True)}


def split_note(given: str, missing: Sequence[str]) -> str:
    """In words how the splits came about: as they were `given`, but for those `missing`."""
    if set(missing) == {"test", "validation"}:
        return f"by class, 70 : 10 : 20, seed {SPLIT_SEED}"
    return given + (f"; {missing[0]} from train by class, seed {SPLIT_SEED}" if missing else "")


def with_validation(
    name: str, source: str, class_names: tuple[str, ...], train: Split, test: Split, recipe: Recipe
) -> Dataset:
    """A data set that comes with its own test set; validation is a tenth of train, by class."""
    splits = split_off(train, ["validation"])
    note = f"its own test set; validation a tenth of train by class, seed {SPLIT_SEED}"
    return Dataset(name, source, note, class_names, splits["train"], splits["validation"], test, recipe)


def recipe_for(train_images: int, augmentation: Augmentation) -> Recipe:
    """For data that nobody has tried: enough steps for a small network, however few the images."""
    least, most = _EPOCHS_RANGE
    epochs = math.ceil(_TRAINING_STEPS / max(1, train_images // 64))
    return Recipe(epochs=min(max(epochs, least), most), learning_rate=_LEARNING_RATE, augmentation=augmentation)


def normal_class(class_names: Sequence[str]) -> int:
    """Which class is no anomaly."""
    return class_names.index(NORMAL) if NORMAL in class_names else 0


def require_images(counts: Sequence[int], class_names: Sequence[str], where: str, *, anomalies: bool = False) -> None:
    """DatasetError when there are fewer than two classes or a class has too few images to be split.

    Where `anomalies` are looked for, every class but the normal one may be missing here.
    """
    if len(class_names) < 2:
        raise DatasetError(f"{where} holds {len(class_names)} class folder(s); a classifier needs at least 2")
    for label, (name, count) in enumerate(zip(class_names, counts, strict=True)):
        spared = anomalies and count == 0 and label != normal_class(class_names)
        if count < MIN_IMAGES_PER_CLASS and not spared:
            raise DatasetError(
                f"{where}: class {name!r} has {count} image(s), and training, validation and test need at least "
                f"{MIN_IMAGES_PER_CLASS} together; add images or remove the folder"
            )
