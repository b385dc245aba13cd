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
from tinydeploy.folded import float_activations
from tinydeploy.graph import Graph
from tinydeploy.layer_noise import LayerNoise, layer_noise
from tinydeploy.lint import lint
from tinydeploy.preprocess import Preprocess
from tinydeploy.progress import Progress, Watcher, ignore_progress
from tinydeploy.qat import QuantizedNetwork
from tinydeploy.quantize import CALIBRATION_IMAGES, quantize, quantize_trained
from tinydeploy.tflite import read_model
from tinydeploy.trainer import Evaluator, preprocess_of, train, tune

__all__ = ["Epoch", "Progress", "TrainedModel", "Watcher", "train", "train_and_quantize"]

# TFLite Micro does about 0.5 billion MACs a second on the host: half a minute of evaluation, and never fewer samples
# than tell whether quantization went wrong.
_EVALUATION_MACS = 15_000_000_000
_LEAST_EVALUATED = 100
_NOISE_SAMPLES = 16
# Apart from the streams of the trainer.
_CALIBRATION_STREAM, _EVALUATION_STREAM = 11, 12


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """The .tflite and everything about how it came to be.

    `test_inputs` are the evaluated test samples as the model takes them, int8 (N, H, W, C), with `test_labels` (N,)
    and the model's `test_outputs`, int8 (N, classes): the whole test split, or a random part of it where evaluating all
    would take too long. `warnings` are lint's and the data's. `network` is the float Keras model, images to logits;
    after quantization-aware training, of `tuning` epochs, it holds the tuned weights, `comparison` still has the float
    network's predictions from before it, and `calibrated` the predictions of what calibration alone would have given.
    """

    spec: zoo.ModelSpec
    dataset: Dataset
    tflite: bytes
    preprocess: Preprocess
    comparison: Comparison
    test_inputs: NDArray[np.int8]
    test_outputs: NDArray[np.int8]
    history: tuple[Epoch, ...]
    tuning: tuple[Epoch, ...]
    calibrated: Comparison | None
    noise: tuple[LayerNoise, ...]
    warnings: tuple[str, ...]
    epochs: int
    seed: int
    teacher: str | None
    network: Any

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the output's elements."""
        return self.dataset.class_names

    @property
    def test_labels(self) -> NDArray[np.int64]:
        """The right class of each of `test_inputs`."""
        return self.comparison.labels

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
    qat_epochs: int | None = None,
    checkpoint: Path | None = None,
    evaluated: int | None = None,
) -> TrainedModel:
    """Train `spec` on `dataset` by its recipe, quantize and evaluate it.

    `epochs` None takes the recipe's own number. Quantization is by calibration on training images, or by `qat_epochs`
    of quantization-aware training. `evaluated` is how many test samples to evaluate; None takes as many as half a
    minute allows. Nothing is written anywhere but to temporary files, and to `checkpoint` (and one beside it for
    quantization-aware training), from which an interrupted training goes on. Raises UsageError when spec and data do
    not fit together, ToolchainError when TensorFlow or TFLite Micro is missing.
    """
    _require_match(spec, dataset)
    epochs = dataset.recipe.epochs if epochs is None else epochs
    model, history = train(
        spec, dataset, epochs=epochs, seed=seed, progress=progress, teacher=teacher, checkpoint=checkpoint
    )
    preprocess = preprocess_of(spec)
    count = evaluated or max(_LEAST_EVALUATED, _EVALUATION_MACS // zoo.footprint(zoo.describe(spec)).macs)
    test = _some(dataset.test, count, (seed, _EVALUATION_STREAM))
    float_predictions = Evaluator(lambda images: model(images, training=False), preprocess).predictions(test.images)

    progress(Progress("quantize"))
    calibration = preprocess.resize(_some(dataset.train, CALIBRATION_IMAGES, (seed, _CALIBRATION_STREAM)).images)
    export = zoo.build(spec, batch_size=1, softmax=True)
    export.set_weights(model.get_weights())
    tflite = quantize(export, calibration, preprocess)
    tuning: tuple[Epoch, ...] = ()
    calibrated = None
    if qat_epochs is not None:
        calibrated = Comparison(test.labels, float_predictions, _predictions(_run(tflite, test, preprocess, spec)))
        progress(Progress("tune"))
        network = QuantizedNetwork(spec, model, preprocess.real(calibration))
        saved = checkpoint.with_stem(f"{checkpoint.stem}-qat") if checkpoint else None
        tuning = tune(
            network, dataset, epochs=qat_epochs, seed=seed, progress=progress, teacher=teacher, checkpoint=saved
        )
        tflite = quantize_trained(network.export())

    progress(Progress("evaluate"))
    graph = read_model(tflite, spec.name)
    inputs = _inputs(graph, test, preprocess)
    outputs = oracle.run(tflite, inputs)
    imbalance = dataset.imbalance()
    return TrainedModel(
        spec=spec,
        dataset=dataset,
        tflite=tflite,
        preprocess=preprocess,
        comparison=Comparison(test.labels, float_predictions, _predictions(outputs)),
        test_inputs=inputs,
        test_outputs=outputs,
        history=history,
        tuning=tuning,
        calibrated=calibrated,
        noise=layer_noise(
            graph, tflite, inputs[:_NOISE_SAMPLES], lambda images: float_activations(spec, model, images)
        ),
        warnings=(*lint(graph), *([imbalance] if imbalance else [])),
        epochs=epochs,
        seed=seed,
        teacher=teacher.name if teacher else None,
        network=model,
    )


def _require_match(spec: zoo.ModelSpec, dataset: Dataset) -> None:
    if spec.classes != len(dataset.class_names):
        raise UsageError(f"{dataset.name} has {len(dataset.class_names)} classes, the network {spec.classes}")
    shape = dataset.train.images.shape[1:]
    if dataset.features is not None and spec.input_shape != shape:
        raise UsageError(
            f"{dataset.name} holds features of {shape[0]}x{shape[1]}x{shape[2]}, which cannot be resized to "
            f"{'x'.join(map(str, spec.input_shape))}; leave --input-size and --channels away"
        )


def _some(split: Split, count: int, seed: tuple[int, int]) -> Split:
    """`count` images of `split` drawn at random, in their order; all of them when there are no more."""
    if count >= len(split):
        return split
    chosen = np.sort(np.random.default_rng(seed).choice(len(split), count, replace=False))
    return Split(split.images[chosen], split.labels[chosen])


def _inputs(graph: Graph, split: Split, preprocess: Preprocess) -> NDArray[np.int8]:
    quant = graph.tensors[graph.input].quantization
    return preprocess.quantized(preprocess.resize(split.images), quant.scale, quant.zero_point)


def _run(tflite: bytes, split: Split, preprocess: Preprocess, spec: zoo.ModelSpec) -> NDArray[np.int8]:
    return oracle.run(tflite, _inputs(read_model(tflite, spec.name), split, preprocess))


def _predictions(outputs: NDArray[np.int8]) -> NDArray[np.int64]:
    return np.argmax(outputs, axis=-1).astype(np.int64)
