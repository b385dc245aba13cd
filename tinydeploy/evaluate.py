"""Float and int8 predictions side by side: what quantization cost, and on which classes and samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """One class: how many samples it has and how many of them each model gets right."""

    name: str
    samples: int
    float_right: int
    int8_right: int


@dataclass(frozen=True, slots=True)
class Parting:
    """A sample, by its index among those compared, to which the two models give different classes."""

    index: int
    label: int
    float_prediction: int
    int8_prediction: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """A sample that the int8 model gets wrong, by its index; `confidence` is the probability that it gives its
    prediction."""

    index: int
    label: int
    prediction: int
    float_prediction: int
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The labels of the compared samples and both models' predictions for them, each int64 (N,)."""

    labels: Labels
    float_predictions: Labels
    int8_predictions: Labels

    @property
    def samples(self) -> int:
        """How many samples were compared."""
        return len(self.labels)

    @property
    def float_accuracy(self) -> float:
        """The share that the float model classifies right."""
        return float(np.mean(self.float_predictions == self.labels))

    @property
    def int8_accuracy(self) -> float:
        """The share that the int8 model classifies right."""
        return float(np.mean(self.int8_predictions == self.labels))

    def by_class(self, class_names: tuple[str, ...]) -> tuple[ClassAccuracy, ...]:
        """Both models' score on each class."""
        rows = []
        for label, name in enumerate(class_names):
            mine = self.labels == label
            float_right = int(np.sum(self.float_predictions[mine] == label))
            int8_right = int(np.sum(self.int8_predictions[mine] == label))
            rows.append(ClassAccuracy(name, int(mine.sum()), float_right, int8_right))
        return tuple(rows)

    def confusion(self, classes: int) -> list[list[int]]:
        """How often int8 gives each class (column) to samples of each class (row)."""
        pairs = self.labels * classes + self.int8_predictions
        return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).tolist()

    def worst(self, confidences: NDArray[np.float64], most: int) -> tuple[Mistake, ...]:
        """The int8 model's mistakes that it is surest of, at `most` so many; `confidences` (N,) are its own."""
        wrong = np.flatnonzero(self.int8_predictions != self.labels)
        surest = wrong[np.argsort(-confidences[wrong], kind="stable")][:most]
        return tuple(
            Mistake(
                int(i),
                int(self.labels[i]),
                int(self.int8_predictions[i]),
                int(self.float_predictions[i]),
                float(confidences[i]),
            )
            for i in surest
        )

    def partings(self) -> tuple[Parting, ...]:
        """Every sample on which the two models differ, whoever is right."""
        found = np.flatnonzero(self.float_predictions != self.int8_predictions)
        return tuple(
            Parting(int(i), int(self.labels[i]), int(self.float_predictions[i]), int(self.int8_predictions[i]))
            for i in found
        )
