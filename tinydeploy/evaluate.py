"""Float and int8 predictions side by side: what quantization cost, and on which classes and samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
# An autoencoder's limit lets so many of the normal validation samples pass.
_PASSED = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What a network says of the test samples: a class each, (N,).

    Of an autoencoder that is 1 where the mean squared error of its output, of which `errors` (N,) has each sample's,
    passes the `limit`.
    """

    predictions: Labels
    errors: NDArray[np.float64] | None = None
    limit: float = 0.0


def by_largest(outputs: NDArray[Any]) -> Verdict:
    """A classifier's verdict from its scores (N, classes)."""
    return Verdict(np.argmax(outputs, axis=-1).astype(np.int64))


def by_error(errors: NDArray[np.float64], normal: NDArray[np.float64]) -> Verdict:
    """An autoencoder's verdict from the `errors` of the test samples and those of `normal` ones it did not train on."""
    limit = float(np.quantile(normal, _PASSED))
    return Verdict((errors > limit).astype(np.int64), errors, limit)


def reconstruction_errors(inputs: NDArray[np.float32], outputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean squared error of each output, (N,), for real values (N, length)."""
    return np.mean((outputs.astype(np.float64) - inputs) ** 2, axis=1)


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The area under the ROC curve: how often a positive sample scores higher than another one, ties for half
    (Mann and Whitney, 1947). Both kinds must be there."""
    others = np.sort(scores[~positive])
    below = np.searchsorted(others, scores[positive], "left") + np.searchsorted(others, scores[positive], "right")
    return float(np.mean(below) / (2 * len(others)))


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """How well an autoencoder tells anomalies: areas under the ROC curve; int8's `errors` (N,) and its `limit`."""

    float_auc: float
    int8_auc: float
    limit: float
    errors: NDArray[np.float64]


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
