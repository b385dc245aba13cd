"""CIFAR-10: the trainings behind the README's accuracies, each of them resumable.

``python -m benchmarks.cifar10 RUN...`` trains the named runs one after the other (``--list`` shows them), says an epoch
a line, and leaves ``model.tflite``, ``float.keras`` and ``result.json`` in FOLDER/RUN. Interrupted in any way, the same
command goes on where it stopped; a finished run is not repeated. Every figure is of the whole test set of 10,000
images, int8 by TFLite Micro.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinydeploy.datasets import Dataset
    from tinydeploy.progress import Progress

DATA = Path("../shared/data/cifar10-jpg.tar.xz")
FOLDER = Path("build/cifar10")
INPUT_SIZE = 32

# MLPerf Tiny's ResNet-8: 86.5 % published, 12,501,632 MACs, 98,496 bytes of .tflite, 85 % required.
GOAL = {"int8_accuracy": 0.865, "macs": 12_501_632, "tflite_bytes": 98_496}

# What the first version of this project trained with, and then:
# small networks do not overfit 45,000 images: crops and mirrors are enough, and what hides or blends costs accuracy.
_FIRST = {"batch_size": 64, "learning_rate": 5e-3, "weight_decay": 0.0}
_SMALL = {"batch_size": 128, "learning_rate": 3e-3, "weight_decay": 0.02}


@dataclass(frozen=True, slots=True)
class Run:
    """One training: a network at 32x32, epochs, changes to the dataset's recipe, perhaps epochs of quantization-aware
    training after these, and perhaps another run as teacher."""

    arch: str
    alpha: float
    epochs: int
    options: tuple[tuple[str, str], ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    qat_epochs: int | None = None
    teacher: str | None = None


RUNS: dict[str, Run] = {
    "mobilenet_v1_10_epochs": Run("mobilenet_v1", 0.25, 10, recipe=_FIRST),
    "mobilenet_v1_60_epochs": Run("mobilenet_v1", 0.25, 60, recipe=_SMALL),
    # 10.3 M MACs and 68 k parameters, deep and narrow, where MLPerf Tiny's has 12.5 M and 78 k.
    "resnet20_half": Run("resnet", 0.5, 60, (("depth", "20"),), _SMALL, qat_epochs=3),
    # MLPerf Tiny's own network by the same recipe: what the pictures allow it.
    "resnet8": Run("resnet", 1.0, 60, (("depth", "8"),), _SMALL, qat_epochs=3),
    # A fifth of the MACs, taught by resnet20_half.
    "xception_half_taught": Run("xception", 0.5, 60, recipe=_SMALL, qat_epochs=3, teacher="resnet20_half"),
    # Four to sixteen channels, no ReLU6: what calibration loses here, quantization-aware training brings back.
    "resnet8_quarter": Run("resnet", 0.25, 10, recipe=_SMALL, qat_epochs=2),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cifar10", description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=", ".join(RUNS))
    parser.add_argument("--list", action="store_true", help="show the runs and what is known of each")
    parser.add_argument("--data", type=Path, default=DATA, help=f"folder or archive of CIFAR-10 ({DATA})")
    parser.add_argument("--out", type=Path, default=FOLDER, help=f"where checkpoints and results lie ({FOLDER})")
    parser.add_argument("--ready", type=Path, metavar="FILE", help="judge an int8 .tflite that takes pixels less 128")
    parser.add_argument("--threads", type=int, default=0, help="cores to use; 0 takes all")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.runs if name not in RUNS]
    if unknown:
        parser.error(f"there is no run {unknown[0]}; choose from {', '.join(RUNS)}")
    if arguments.threads:
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(arguments.threads)  # before TensorFlow is imported
    if arguments.ready:
        accuracy = judge(arguments.ready, load(arguments.data))
        say(f"{arguments.ready.name}: {100 * accuracy:.2f} % of the test images by TFLite Micro")
        return
    if arguments.list or not arguments.runs:
        show(arguments.out)
        return
    data = None
    for name in arguments.runs:
        if result(arguments.out, name) is None:
            data = data or load(arguments.data)
            train(name, data, arguments.out)
        say(f"{name}: {json.dumps(result(arguments.out, name))}")


def load(path: Path) -> Dataset:
    from tinydeploy import datasets

    return datasets.load("cifar10", data=path, input_size=INPUT_SIZE)


def judge(file: Path, data: Dataset) -> float:
    """The share of the test images that a ready classifier gets right, as MLPerf Tiny's ResNet-8 takes them: pixels as
    they are, of scale 1 and zero point -128."""
    import numpy as np

    from tinydeploy import oracle

    pixels = (data.test.images.astype(np.int16) - 128).astype(np.int8)
    scores = oracle.run(file.read_bytes(), pixels)
    return float(np.mean(np.argmax(scores, axis=-1).reshape(-1) == data.test.labels))


def train(name: str, data: Dataset, out: Path) -> None:
    from tinydeploy import zoo
    from tinydeploy.files import write_if_changed
    from tinydeploy.train import train_and_quantize

    chosen, folder = RUNS[name], out / name
    spec = zoo.ModelSpec(chosen.arch, chosen.alpha, INPUT_SIZE, 3, 10, options=chosen.options)
    recipe = dataclasses.replace(data.recipe, epochs=chosen.epochs, **chosen.recipe)
    begun = time.monotonic()

    def watch(progress: Progress) -> None:
        if progress.validation_accuracy is not None:
            say(
                f"{name}: epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.4f}, validation "
                f"{100 * progress.validation_accuracy:.2f} %, {time.monotonic() - begun:.0f} s of this sitting"
            )
        elif progress.stage != "train":
            say(f"{name}: {progress.stage}")

    say(f"{name}: {json.dumps(dataclasses.asdict(recipe))}")
    model = train_and_quantize(
        spec,
        dataclasses.replace(data, recipe=recipe),
        progress=watch,
        teacher=teacher_of(chosen, out),
        qat_epochs=chosen.qat_epochs,
        checkpoint=folder / "checkpoint.npz",
        evaluated=len(data.test),
    )
    cost = zoo.footprint(zoo.describe(spec))
    found = {
        "network": spec.name,
        "epochs": model.epochs,
        "float_accuracy": model.float_accuracy,
        "calibrated_accuracy": model.calibrated.int8_accuracy if model.calibrated else None,
        "int8_accuracy": model.int8_accuracy,
        "evaluated": model.comparison.samples,
        "macs": cost.macs,
        "parameters": cost.parameters,
        "tflite_bytes": len(model.tflite),
        "history": [dataclasses.asdict(epoch) for epoch in model.history],
        "tuning": [dataclasses.asdict(epoch) for epoch in model.tuning],
        "noise": [dataclasses.asdict(layer) for layer in model.noise],
    }
    folder.mkdir(parents=True, exist_ok=True)
    model.network.save(folder / "float.keras")
    write_if_changed(folder / "model.tflite", model.tflite)
    write_if_changed(folder / "result.json", (json.dumps(found, indent=1) + "\n").encode())


def teacher_of(run: Run, out: Path) -> Any:
    """The finished run that teaches, or None where none does."""
    from tinydeploy.distill import Teacher, digest_of, load_teacher
    from tinydeploy.preprocess import Preprocess

    if run.teacher is None:
        return None
    if result(out, run.teacher) is None:
        raise SystemExit(f"{run.teacher} must be finished first: it is the teacher")
    model = load_teacher(out / run.teacher / "float.keras", Preprocess(INPUT_SIZE, 3), 10)
    return Teacher(model, run.teacher, digest_of(model))


def result(out: Path, name: str) -> dict[str, Any] | None:
    """A finished run's figures, without the history; None where it is not finished."""
    file = out / name / "result.json"
    if not file.is_file():
        return None
    found = json.loads(file.read_text())
    return {key: value for key, value in found.items() if key not in ("history", "tuning", "noise")}


def show(out: Path) -> None:
    for name, run in RUNS.items():
        found = result(out, name)
        if found is not None:
            said = f"float {100 * found['float_accuracy']:.2f} %, int8 {100 * found['int8_accuracy']:.2f} %"
            if found.get("calibrated_accuracy") is not None:
                said += f" ({100 * found['calibrated_accuracy']:.2f} % by calibration alone)"
            said += f", {found['macs']:,} MACs, {found['tflite_bytes']:,} B"
        elif (out / name / "checkpoint.npz").exists():
            said = "begun"
        else:
            said = "not begun"
        print(f"{name:24} {run.arch} {run.alpha:g}, {run.epochs} epochs: {said}")


def say(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
        sys.exit(130)
