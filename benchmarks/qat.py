"""What calibration loses, if anything, and quantization-aware training brings back, on the digits, seed by seed.

``python -m benchmarks.qat`` trains small ResNets (no ReLU6 bounds their activations, and few channels share the error)
and prints, per seed and in the mean, the test accuracy of the float network, of int8 by calibration and of int8 after
quantization-aware training. No seed is left out. One thread, so that another machine of the same kind gives the same.

In the dark, one picture in sixteen is lit well and all others have a 32nd of its light, as a camera without automatic
exposure sees them. The few bright ones set the ranges that calibration takes, and leave the dark ones few steps.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinydeploy.datasets import Split

SEEDS = 5
BRIGHT_SHARE = 1 / 16


@dataclass(frozen=True, slots=True)
class Case:
    """A network of the zoo and how long it trains."""

    arch: str
    alpha: float
    input_size: int
    epochs: int
    qat_epochs: int
    learning_rate: float = 1e-2
    dark: bool = False


CASES = (
    Case("resnet", 0.25, 8, 12, 4, dark=True),
    Case("resnet", 0.25, 8, 12, 3),
    Case("resnet", 0.1, 16, 12, 3),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.qat", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many seeds, from 0 ({SEEDS})")
    arguments = parser.parse_args()
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # before TensorFlow is imported
    print(f"{'network':28} {'seed':>4} {'float':>9} {'calibrated':>11} {'qat':>9}   of the loss recovered")
    for case in CASES:
        rows = [measured(case, seed) for seed in range(arguments.seeds)]
        for seed, row in enumerate(rows):
            show(case, str(seed), row)
        show(case, "mean", tuple(statistics.fmean(column) for column in zip(*rows, strict=True)))


def measured(case: Case, seed: int) -> tuple[float, float, float]:
    """Accuracies: float, int8 by calibration, int8 after quantization-aware training."""
    import dataclasses

    from tinydeploy import datasets, zoo
    from tinydeploy.train import train_and_quantize

    data = datasets.load("digits")
    # A recipe of its own: what was measured stays comparable when the digits get a better one.
    distortion = datasets.Augmentation(shift=0.08, rotation=12, zoom=0.12, background=0)
    recipe = datasets.Recipe(case.epochs, case.learning_rate, distortion, label_smoothing=0.1)
    data = dataclasses.replace(data, recipe=recipe)
    if case.dark:
        splits = {
            name: in_the_dark(getattr(data, name), at) for at, name in enumerate(("train", "validation", "test"), 1)
        }
        data = dataclasses.replace(data, **splits)
    spec = zoo.ModelSpec(case.arch, case.alpha, case.input_size, 1, 10)
    model = train_and_quantize(spec, data, seed=seed, qat_epochs=case.qat_epochs)
    assert model.calibrated is not None
    return model.float_accuracy, model.calibrated.int8_accuracy, model.int8_accuracy


def in_the_dark(split: Split, stream: int) -> Split:
    """The pictures as the module says, in whole levels again."""
    import numpy as np

    from tinydeploy.datasets import Split

    bright = np.random.default_rng((0, stream)).random(len(split)) < BRIGHT_SHARE
    light = np.where(bright, 1.0, 1 / 32)[:, None, None, None]
    return Split(np.rint(split.images * light).astype(np.uint8), split.labels)


def show(case: Case, seed: str, row: tuple[float, ...]) -> None:
    as_float, calibrated, tuned = row
    lost = as_float - calibrated
    back = f"{100 * (tuned - calibrated) / lost:.0f} %" if lost > 0 else "nothing was lost"
    name = f"{case.arch} {case.alpha:g}, {case.input_size}x{case.input_size}{', dark' if case.dark else ''}"
    shares = f"{100 * as_float:7.2f} % {100 * calibrated:9.2f} % {100 * tuned:7.2f} %"
    print(f"{name:28} {seed:>4} {shares}   {back}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
