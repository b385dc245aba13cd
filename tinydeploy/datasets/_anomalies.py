"""Labelled data as a search for anomalies: an autoencoder learns what is normal, and the test holds both.

Normal is the class called ``normal``, or else the first; every other class is anomalous.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tinydeploy.datasets._base import NORMAL, Augmentation, Dataset, Split, normal_class, recipe_for, take
from tinydeploy.errors import DatasetError

CLASS_NAMES = (NORMAL, "anomalous")


def as_anomalies(dataset: Dataset) -> Dataset:
    """`dataset` with two classes; training and validation see the normal one alone, so that nothing about anomalies is
    learned or chosen by. Its recipe was for telling all classes apart: here as many steps as the normal images need,
    and no distortions, which would be anomalies themselves."""
    normal = normal_class(dataset.class_names)
    if not (dataset.test.labels != normal).any():
        raise DatasetError(
            f"{dataset.name} has no test sample but of {dataset.class_names[normal]!r}; add samples of another class, "
            "for without an anomaly nothing can be said of its detection"
        )

    def labelled(split: Split) -> Split:
        return Split(split.images, (split.labels != normal).astype(np.int64))

    def normal_only(split: Split) -> Split:
        split = labelled(split)
        return take(split.images, split.labels, np.flatnonzero(split.labels == 0))

    train = normal_only(dataset.train)
    return dataclasses.replace(
        dataset,
        split_note=f"{dataset.split_note}; trained on {dataset.class_names[normal]!r} alone",
        class_names=CLASS_NAMES,
        train=train,
        validation=normal_only(dataset.validation),
        test=labelled(dataset.test),
        recipe=recipe_for(len(train), Augmentation()),
    )
