"""A network and a dataset to a trained, quantized, evaluated model: all that the compiler and the reports need."""

from __future__ import annotations

from collections.abc import Callable
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
from tinydeploy.evaluate import (
    Comparison,
    Detection,
    Verdict,
    auc,
    by_error,
    by_largest,
    reconstruction_errors,
)
from tinydeploy.folded import float_activations
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

    `test_inputs` are the evaluated test samples as the model takes them, int8 (N, *input shape), with `test_labels`
    (N,) and the model's `test_outputs`, int8 (N, classes): the whole test split, or a random part of it where
    evaluating all would take too long. `warnings` are lint's and the data's. `network` is the float Keras model, images
    to logits; after quantization-aware training, of `tuning` epochs, it holds the tuned weights, `comparison` still has
    the float network's predictions from before it, and `calibrated` the predictions of what calibration alone would
    have given.
    An autoencoder gives its input again, its classes are normal and anomalous, and it has a `detection`.
    """

    spec: zoo.ModelSpec
    dataset: Dataset
    tflite: bytes
    preprocess: Preprocess
    comparison: Comparison
    detection: Detection | None
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
    _require_match(spec, dataset, teacher)
    epochs = dataset.recipe.epochs if epochs is None else epochs
    model, history = train(
        spec, dataset, epochs=epochs, seed=seed, progress=progress, teacher=teacher, checkpoint=checkpoint
    )
    preprocess = preprocess_of(spec)
    jury = _jury(spec, dataset, evaluated, seed)
    labels = jury.test.labels
    as_float = jury.verdict(Evaluator(lambda images: model(images, training=False), preprocess).outputs)

    progress(Progress("quantize"))
    calibration = preprocess.resize(_some(dataset.train, CALIBRATION_IMAGES, (seed, _CALIBRATION_STREAM)).images)
    tflite = _by_calibration(spec, model, calibration)
    tuning: tuple[Epoch, ...] = ()
    calibrated = None
    if qat_epochs is not None:
        untuned = jury.verdict(_Quantized(tflite, preprocess, spec.name).outputs)
        calibrated = Comparison(labels, as_float.predictions, untuned.predictions)
        progress(Progress("tune"))
        network = QuantizedNetwork(spec, model, preprocess.real(calibration))
        saved = checkpoint.with_stem(f"{checkpoint.stem}-qat") if checkpoint else None
        tuning = tune(
            network, dataset, epochs=qat_epochs, seed=seed, progress=progress, teacher=teacher, checkpoint=saved
        )
        tflite = quantize_trained(network.export())

    progress(Progress("evaluate"))
    quantized = _Quantized(tflite, preprocess, spec.name)
    as_int8 = jury.verdict(quantized.outputs)
    inputs = quantized.inputs(jury.test.images)
    imbalance = dataset.imbalance()
    return TrainedModel(
        spec=spec,
        dataset=dataset,
        tflite=tflite,
        preprocess=preprocess,
        comparison=Comparison(labels, as_float.predictions, as_int8.predictions),
        detection=_detection(labels, as_float, as_int8),
        test_inputs=inputs,
        test_outputs=quantized.raw_outputs(jury.test.images),
        history=history,
        tuning=tuning,
        calibrated=calibrated,
        noise=layer_noise(
            quantized.graph, tflite, inputs[:_NOISE_SAMPLES], lambda images: float_activations(spec, model, images)
        ),
        warnings=(*lint(quantized.graph), *([imbalance] if imbalance else [])),
        epochs=epochs,
        seed=seed,
        teacher=teacher.name if teacher else None,
        network=model,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Jury:
    """The samples that networks are judged by; only an autoencoder's limit needs the normal ones of `validation`."""

    preprocess: Preprocess
    test: Split
    validation: Split

    def verdict(self, outputs: Callable[[NDArray[np.uint8]], NDArray[Any]]) -> Verdict:
        """What a network says, of which `outputs` gives real outputs for images."""
        if not self.preprocess.flat:
            return by_largest(outputs(self.test.images))
        errors = [self._errors(split.images, outputs(split.images)) for split in (self.test, self.validation)]
        return by_error(*errors)

    def _errors(self, images: NDArray[np.uint8], outputs: NDArray[Any]) -> NDArray[np.float64]:
        return reconstruction_errors(self.preprocess.real(self.preprocess.resize(images)), outputs)


def _jury(spec: zoo.ModelSpec, dataset: Dataset, evaluated: int | None, seed: int) -> _Jury:
    """`evaluated` samples of each split, drawn by `seed`; None takes as many as half a minute allows."""
    count = evaluated or max(_LEAST_EVALUATED, _EVALUATION_MACS // zoo.footprint(zoo.describe(spec)).macs)
    test, validation = (_some(split, count, (seed, _EVALUATION_STREAM)) for split in (dataset.test, dataset.validation))
    return _Jury(preprocess_of(spec), test, validation)


def _by_calibration(spec: zoo.ModelSpec, model: Any, calibration: NDArray[np.uint8]) -> bytes:
    """The .tflite of a trained `model`, its ranges those of the `calibration` images at the input size."""
    export = zoo.build(spec, batch_size=1, softmax=True)
    export.set_weights(model.get_weights())
    return quantize(export, calibration, preprocess_of(spec))


class _Quantized:
    """A .tflite by TFLite Micro, for images."""

    def __init__(self, tflite: bytes, preprocess: Preprocess, name: str) -> None:
        self.graph = read_model(tflite, name)
        self._tflite = tflite
        self._preprocess = preprocess
        self._known: tuple[NDArray[np.uint8], NDArray[np.int8]] | None = None

    def inputs(self, images: NDArray[np.uint8]) -> NDArray[np.int8]:
        """The model's inputs."""
        quant = self.graph.tensors[self.graph.input].quantization
        return self._preprocess.quantized(self._preprocess.resize(images), quant.scale, quant.zero_point)

    def raw_outputs(self, images: NDArray[np.uint8]) -> NDArray[np.int8]:
        """The model's outputs; those of the first images asked for are kept."""
        if self._known is not None and self._known[0] is images:
            return self._known[1]
        outputs: NDArray[np.int8] = oracle.run(self._tflite, self.inputs(images))
        self._known = self._known or (images, outputs)
        return outputs

    def outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The real values of the outputs."""
        quant = self.graph.tensors[self.graph.output].quantization
        return (self.raw_outputs(images).astype(np.float32) - quant.zero_point) * np.float32(quant.scale)


def _detection(labels: NDArray[np.int64], as_float: Verdict, as_int8: Verdict) -> Detection | None:
    if as_float.errors is None or as_int8.errors is None:
        return None
    anomalous = labels == 1
    areas = [auc(verdict.errors, anomalous) for verdict in (as_float, as_int8) if verdict.errors is not None]
    return Detection(areas[0], areas[1], as_int8.limit, as_int8.errors)


def _require_match(spec: zoo.ModelSpec, dataset: Dataset, teacher: Teacher | None) -> None:
    if teacher is not None and not zoo.classifies(spec):
        raise UsageError(f"{spec.arch} gives no classes that --teacher could teach; leave --teacher away")
    if spec.classes != len(dataset.class_names):
        raise UsageError(f"{dataset.name} has {len(dataset.class_names)} classes, the network {spec.classes}")
    shape, taken = dataset.train.images.shape[1:], preprocess_of(spec).shape
    if dataset.features is not None and taken != shape:
        raise UsageError(
            f"{dataset.name} holds features of {shape[0]}x{shape[1]}x{shape[2]}, which cannot be resized to "
            f"{'x'.join(map(str, taken))}; leave --input-size and --channels away"
        )


def _some(split: Split, count: int, seed: tuple[int, int]) -> Split:
    """`count` images of `split` drawn at random, in their order; all of them when there are no more."""
    if count >= len(split):
        return split
    chosen = np.sort(np.random.default_rng(seed).choice(len(split), count, replace=False))
    return Split(split.images[chosen], split.labels[chosen])
