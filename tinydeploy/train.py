"""A network and a dataset to a trained, quantized, evaluated model: all that the compiler and the reports need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy import oracle, zoo
from tinydeploy.checkpoint import Epoch
from tinydeploy.datasets import Dataset, Split
from tinydeploy.distill import Teacher
from tinydeploy.errors import UsageError
from tinydeploy.evaluate import Comparison
from tinydeploy.graph import Quant
from tinydeploy.lint import lint
from tinydeploy.preprocess import Preprocess
from tinydeploy.progress import Progress, Watcher, ignore_progress
from tinydeploy.quantize import CALIBRATION_IMAGES, quantize
from tinydeploy.tflite import read_model
from tinydeploy.trainer import Evaluator, preprocess_of, train

__all__ = ["Epoch", "Progress", "TrainedModel", "Watcher", "train", "train_and_quantize"]

# TFLite Micro does about 0.5 billion MACs a second on the host: half a minute of evaluation, and never fewer samples
# than tell whether quantization went wrong.
_EVALUATION_MACS = 15_000_000_000
_LEAST_EVALUATED = 100
# Apart from the streams of the trainer.
_CALIBRATION_STREAM, _EVALUATION_STREAM = 11, 12


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """The .tflite and everything about how it came to be.

    `test_inputs` are the evaluated test samples as the model takes them, int8 (N, H, W, C), with `test_labels` (N,):
    the whole test split, or a random part of it where evaluating all would take too long. `warnings` are lint's.
    `network` is the float Keras model, images to logits.
    """

    spec: zoo.ModelSpec
    tflite: bytes
    class_names: tuple[str, ...]
    preprocess: Preprocess
    comparison: Comparison
    test_inputs: NDArray[np.int8]
    test_labels: NDArray[np.int64]
    history: tuple[Epoch, ...]
    warnings: tuple[str, ...]
    epochs: int
    seed: int
    data_source: str
    split_note: str
    split_sizes: tuple[int, int, int]
    network: Any

    @property
    def float_accuracy(self) -> float:
        """Test accuracy before quantization, on the evaluated samples."""
        return self.comparison.float_accuracy

    @property
    def int8_accuracy(self) -> float:
        """Test accuracy of the .tflite by TFLite Micro, on the same samples."""
        return self.comparison.int8_accuracy


def train_and_quantize(
    spec: zoo.ModelSpec,
    dataset: Dataset,
    *,
    epochs: int | None = None,
    seed: int = 0,
    progress: Watcher = ignore_progress,
    teacher: Teacher | None = None,
    checkpoint: Path | None = None,
    evaluated: int | None = None,
) -> TrainedModel:
    """Train `spec` on `dataset`, quantize it by post-training calibration on training images, evaluate both models.

    `epochs` None takes the dataset's own number. `evaluated` is how many test samples to evaluate; None takes as many
    as half a minute allows. Nothing is written anywhere but to temporary files and to `checkpoint`, from which an
    interrupted training goes on. Raises UsageError when spec and data do not fit together, ToolchainError when
    TensorFlow or TFLite Micro is missing.
    """
    if spec.classes != len(dataset.class_names):
        raise UsageError(f"{dataset.name} has {len(dataset.class_names)} classes, the network {spec.classes}")
    epochs = dataset.recipe.epochs if epochs is None else epochs
    model, history = train(
        spec, dataset, epochs=epochs, seed=seed, progress=progress, teacher=teacher, checkpoint=checkpoint
    )
    preprocess = preprocess_of(spec)

    progress(Progress("quantize"))
    export = zoo.build(spec, batch_size=1, softmax=True)
    export.set_weights(model.get_weights())
    calibration = _some(dataset.train, CALIBRATION_IMAGES, (seed, _CALIBRATION_STREAM))
    tflite = quantize(export, preprocess.resize(calibration.images), preprocess)
    graph = read_model(tflite, spec.name)

    progress(Progress("evaluate"))
    macs = zoo.footprint(zoo.describe(spec)).macs
    count = evaluated or max(_LEAST_EVALUATED, _EVALUATION_MACS // macs)
    test = _some(dataset.test, count, (seed, _EVALUATION_STREAM))
    inputs = _quantized_inputs(preprocess, test, graph.tensors[graph.input].quantization)
    comparison = Comparison(
        labels=test.labels,
        float_predictions=Evaluator(lambda images: model(images, training=False), preprocess).predictions(test.images),
        int8_predictions=np.argmax(oracle.run(tflite, inputs), axis=-1).astype(np.int64),
    )
    return TrainedModel(
        spec=spec,
        tflite=tflite,
        class_names=dataset.class_names,
        preprocess=preprocess,
        comparison=comparison,
        test_inputs=inputs,
        test_labels=test.labels,
        history=history,
        warnings=lint(graph),
        epochs=epochs,
        seed=seed,
        data_source=dataset.source,
        split_note=dataset.split_note,
        split_sizes=(len(dataset.train), len(dataset.validation), len(dataset.test)),
        network=model,
    )


def _some(split: Split, count: int, seed: tuple[int, int]) -> Split:
    """`count` images of `split` drawn at random, in their order; all of them when there are no more."""
    if count >= len(split):
        return split
    chosen = np.sort(np.random.default_rng(seed).choice(len(split), count, replace=False))
    return Split(split.images[chosen], split.labels[chosen])


def _quantized_inputs(preprocess: Preprocess, split: Split, quant: Quant) -> NDArray[np.int8]:
    return preprocess.quantized(preprocess.resize(split.images), quant.scale, quant.zero_point)
