"""How a network is to be trained where that differs from the dataset's recipe: what the command line can ask for."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from tinydeploy.datasets import Recipe
from tinydeploy.errors import UsageError

# By field: least and most, and whether these are included.
_RANGES: dict[str, tuple[float, float, bool]] = {
    "epochs": (1, math.inf, True),
    "learning_rate": (0, 1, False),
    "batch_size": (1, math.inf, True),
    "weight_decay": (0, 10, True),
    "label_smoothing": (0, 0.9, True),
    "dropout": (0, 0.9, True),
    "crop": (0, 0.5, True),
    "cutout": (0, 0.9, True),
    "mixup": (0, 10, True),
    "patience": (1, math.inf, True),
    "qat_epochs": (1, math.inf, True),
    "teacher_weight": (0, 1, True),
    "temperature": (0, 1000, False),
}
_AUGMENTATION = {"crop": "shift", "cutout": "cutout", "mixup": "mixup", "flip": "flip"}
_RECIPE = ("epochs", "learning_rate", "batch_size", "weight_decay", "label_smoothing", "dropout", "patience")
# Quantization-aware training takes this share of the epochs, and never fewer than two.
_QAT_SHARE = 0.1
_LEAST_QAT_EPOCHS = 2


@dataclass(frozen=True, slots=True)
class Method:
    """What is None is as the dataset's recipe has it. Values out of range raise UsageError here.

    `teacher` is a network of the zoo, as ``ARCH/ALPHA`` or ``ARCH:OPTION=VALUE,…/ALPHA``, or a .keras file;
    `teacher_weight` and `temperature` are those of ``distill.Teacher``.
    """

    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    weight_decay: float | None = None
    label_smoothing: float | None = None
    dropout: float | None = None
    crop: float | None = None
    flip: bool | None = None
    cutout: float | None = None
    mixup: float | None = None
    patience: int | None = None
    qat: bool = False
    qat_epochs: int | None = None
    teacher: str | None = None
    teacher_weight: float | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        for name, (least, most, included) in _RANGES.items():
            value = getattr(self, name)
            if value is None:
                continue
            inside = least <= value <= most if included else least < value <= most
            if not (math.isfinite(value) and inside):
                bounds = f"from {least:g}" if included else f"above {least:g}"
                upwards = " to" if included else " and up to"
                bounds += f"{upwards} {most:g}" if most < math.inf else " up"
                raise UsageError(f"--{name.replace('_', '-')} {value:g} is out of range; choose a value {bounds}")
        if self.qat_epochs is not None and not self.qat:
            raise UsageError("--qat-epochs goes with --qat, which trains the network on with int8 in it")
        if self.teacher is None and (self.teacher_weight is not None or self.temperature is not None):
            raise UsageError("--teacher-weight and --temperature go with --teacher")

    def recipe(self, given: Recipe) -> Recipe:
        """`given`, with all that was asked for."""
        augmentation = {theirs: getattr(self, ours) for ours, theirs in _AUGMENTATION.items()}
        changes: dict[str, Any] = {name: getattr(self, name) for name in _RECIPE}
        return dataclasses.replace(
            given,
            **_given(changes),
            augmentation=dataclasses.replace(given.augmentation, **_given(augmentation)),
        )

    def tuning_epochs(self, epochs: int) -> int | None:
        """Epochs of quantization-aware training after `epochs` of float training; None without it."""
        if not self.qat:
            return None
        return self.qat_epochs or max(_LEAST_QAT_EPOCHS, math.ceil(epochs * _QAT_SHARE))


def _given(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if value is not None}
