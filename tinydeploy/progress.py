"""How long jobs tell whoever watches where they are; the command line draws a bar of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands: after each step `step` of `steps` of `epoch` of `epochs`, both counted from 1.

    `loss` is the step's, and the epoch's mean at its last step, which alone brings `validation_accuracy`. The stages
    "quantize", "tune" (what follows of "train" is then quantization-aware) and "evaluate" are announced as they begin,
    with nothing but their name.
    """

    stage: Literal["train", "quantize", "tune", "evaluate"]
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    validation_accuracy: float | None = None


Watcher = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The watcher of whoever does not watch."""
