"""A network and a dataset to trained weights: seeded, deterministic, watched through a callback, resumable.

The same network, data, recipe and seed give the same weights on the same machine and number of cores, interrupted or
not; floating-point sums may come out in another order elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy import stamp, zoo
from tinydeploy._tensorflow import import_keras, import_tensorflow
from tinydeploy.augment import augmenter, mixed
from tinydeploy.checkpoint import Checkpoint, Epoch
from tinydeploy.datasets import Dataset, Split
from tinydeploy.distill import Teacher
from tinydeploy.errors import UsageError
from tinydeploy.evaluate import reconstruction_errors
from tinydeploy.preprocess import Preprocess
from tinydeploy.progress import Watcher, ignore_progress
from tinydeploy.qat import QuantizedNetwork
from tinydeploy.training_loop import Learner, Step, run

_EVALUATION_BATCH = 256
# Quantization-aware training only settles in: its rate begins at this share of the recipe's.
TUNING_SHARE = 0.1
_TUNING_STREAM = 3
_LEAST_VARIANCE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class _Trainee:
    """A network as the loop meets it. `forward` maps real inputs to outputs while it trains, `at_rest` afterwards;
    `trained` are the variables that gradients change, `variables` all that a step changes but for the optimizer's own,
    the first `weights` of them the network's. `key` says in a digest which network it is, before it is trained."""

    spec: zoo.ModelSpec
    model: Any
    forward: Callable[[Any], Any]
    at_rest: Callable[[Any], Any]
    trained: Sequence[Any]
    variables: Sequence[Any]
    weights: int
    key: object


def train(
    spec: zoo.ModelSpec,
    dataset: Dataset,
    *,
    epochs: int,
    seed: int,
    progress: Watcher = ignore_progress,
    teacher: Teacher | None = None,
    checkpoint: Path | None = None,
) -> tuple[Any, tuple[Epoch, ...]]:
    """Train `spec` on the training split by the dataset's recipe; the Keras model (images to logits) and its history.

    AdamW, and the loop's schedule. With a `checkpoint` file an interrupted training goes on from there, if it is of
    the same network, data, recipe, seed and teacher. KeyboardInterrupt passes through between steps.
    """
    _prepare("--epochs", epochs)
    model = zoo.build(spec, seed=seed, dropout=dataset.recipe.dropout)
    # Weights first, then what else a step changes: the draws of dropout, the optimizer's moments.
    others = [v for v in model.variables if not any(v is weight for weight in model.weights)]
    trainee = _Trainee(
        spec,
        model,
        lambda images: model(images, training=True),
        lambda images: model(images, training=False),
        model.trainable_variables,
        [*model.weights, *others],
        len(model.weights),
        spec,
    )
    return model, _learn(trainee, dataset, epochs, (seed,), progress, teacher, checkpoint)


def tune(
    network: QuantizedNetwork,
    dataset: Dataset,
    *,
    epochs: int,
    seed: int,
    progress: Watcher = ignore_progress,
    teacher: Teacher | None = None,
    checkpoint: Path | None = None,
) -> tuple[Epoch, ...]:
    """Train `network` on, quantized, at a tenth of the recipe's learning rate and without dropout; the history.

    Resumes, repeats and stops as ``train`` does.
    """
    _prepare("--qat-epochs", epochs)
    recipe = dataclasses.replace(dataset.recipe, learning_rate=dataset.recipe.learning_rate * TUNING_SHARE)
    trainee = _Trainee(
        network.spec,
        network.model,
        network.logits,
        network.logits,
        network.variables,
        network.variables,
        len(network.variables),
        network.digest(),
    )
    data = dataclasses.replace(dataset, recipe=recipe)
    return _learn(trainee, data, epochs, (seed, _TUNING_STREAM), progress, teacher, checkpoint)


def _prepare(option: str, epochs: int) -> None:
    if epochs < 1:
        raise UsageError(f"{option} {epochs} is out of range; train for at least 1")
    import_tensorflow().config.experimental.enable_op_determinism()


def _learn(
    trainee: _Trainee,
    dataset: Dataset,
    epochs: int,
    seed: tuple[int, ...],
    progress: Watcher,
    teacher: Teacher | None,
    checkpoint: Path | None,
) -> tuple[Epoch, ...]:
    """Drive the loop: optimizer, compiled step, validation and checkpoint for `trainee`; the history."""
    preprocess = preprocess_of(trainee.spec)
    optimizer = optimizer_for(trainee.model, dataset, trainee.trained)
    step = train_step(trainee.forward, trainee.trained, optimizer, dataset, preprocess, teacher)
    validate = Evaluator(trainee.at_rest, preprocess)
    quality = validate.accuracy if zoo.classifies(trainee.spec) else validate.reconstructed
    learner = Learner(
        step,
        [*trainee.variables, *optimizer.variables],
        trainee.weights,
        lambda: quality(dataset.validation),
    )
    saved = None
    if checkpoint is not None:
        version = import_tensorflow().__version__
        key = stamp.digest(trainee.key, dataset.digest(), epochs, seed, teacher_key(teacher), version)
        saved = Checkpoint(checkpoint, key)
    return run(
        learner,
        dataset.recipe,
        dataset.train,
        preprocess,
        epochs=epochs,
        seed=seed,
        checkpoint=saved,
        progress=progress,
    )


def preprocess_of(spec: zoo.ModelSpec) -> Preprocess:
    """What happens to a picture before the network."""
    if zoo.classifies(spec):
        return Preprocess(spec.input_size, spec.channels, input_width=spec.input_width)
    return Preprocess(spec.input_size, 1, input_width=spec.input_width or 1, flat=True)


def teacher_key(teacher: Teacher | None) -> tuple[object, ...]:
    """What a training depends on of its teacher."""
    return () if teacher is None else (teacher.digest, teacher.weight, teacher.temperature)


class Evaluator:
    """A float network's answers for images of any size; `forward` maps real inputs to logits, inside TensorFlow."""

    def __init__(self, forward: Callable[[Any], Any], preprocess: Preprocess) -> None:
        self._preprocess = preprocess
        tf = import_tensorflow()
        # Static shapes would compile one function per odd last batch.
        signature = [tf.TensorSpec((None, *preprocess.model_shape), tf.float32)]
        self._run = tf.function(forward, input_signature=signature, autograph=False)

    def outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network gives for each image, (N, classes) or, of an autoencoder, (N, length)."""
        parts = [
            self._run(self._inputs(images[start : start + _EVALUATION_BATCH])).numpy()
            for start in range(0, len(images), _EVALUATION_BATCH)
        ]
        return np.concatenate(parts)

    def predictions(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The most probable class of each image, (N,)."""
        return np.argmax(self.outputs(images), axis=1).astype(np.int64)

    def accuracy(self, split: Split) -> float:
        """The share of `split` that is classified right."""
        return float(np.mean(self.predictions(split.images) == split.labels))

    def reconstructed(self, split: Split) -> float:
        """The share of the variance in `split` that an autoencoder gives again; below 0 where the mean is nearer."""
        inputs = self._inputs(split.images)
        errors = reconstruction_errors(inputs, self.outputs(split.images))
        return 1 - float(errors.mean() / max(float(inputs.var(axis=0).mean()), _LEAST_VARIANCE))

    def _inputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._preprocess.real(self._preprocess.resize(images))


def optimizer_for(model: Any, dataset: Dataset, variables: Sequence[Any] | None = None) -> Any:
    """AdamW for the model's trainable variables, or for `variables`, its decay on the kernels of (grouped)
    convolutions and dense layers alone.

    A depthwise kernel has nine weights to a channel, and what they lose batch normalization gives back: decay there
    costs accuracy (Howard et al., 2017, section 3.3). Shifts and scales are left alone as well.
    """
    keras = import_keras()
    optimizer = keras.optimizers.AdamW(dataset.recipe.learning_rate, weight_decay=dataset.recipe.weight_decay)
    trained = list(model.trainable_variables if variables is None else variables)
    layers = [layer for layer in model.layers if type(layer) in (keras.layers.Conv2D, keras.layers.Dense)]
    decayed = {id(layer.kernel) for layer in layers}
    optimizer.exclude_from_weight_decay([v for v in trained if id(v) not in decayed])
    optimizer.build(trained)
    return optimizer


def train_step(
    forward: Callable[[Any], Any],
    variables: Sequence[Any],
    optimizer: Any,
    dataset: Dataset,
    preprocess: Preprocess,
    teacher: Teacher | None,
) -> Step:
    """One compiled step, as the loop takes it; `forward` maps real inputs to logits, or to themselves."""
    tf, keras = import_tensorflow(), import_keras()
    recipe, classes = dataset.recipe, len(dataset.class_names)
    batch = min(recipe.batch_size, len(dataset.train))
    entropy = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    distort = augmenter(recipe.augmentation)

    def step(images: Any, labels: Any, seed: Any, share: Any, rate: Any) -> Any:
        pixels, targets = distort(tf.cast(images, tf.float32), seed), tf.one_hot(labels, classes)
        if recipe.augmentation.mixup:
            pixels, targets = mixed(pixels, share), mixed(targets, share)
        real = tf.reshape((pixels - preprocess.offset) / preprocess.divisor, (batch, *preprocess.model_shape))
        optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            given = forward(real)
            loss = tf.reduce_mean(tf.square(given - real)) if preprocess.flat else entropy(targets, given)
            if teacher is not None:
                loss = (1 - teacher.weight) * loss + teacher.weight * teacher.loss(real, given)
        gradients = tape.gradient(loss, variables)
        optimizer.apply(gradients, variables)
        return loss

    signature = [
        tf.TensorSpec((batch, *preprocess.shape), tf.uint8),
        tf.TensorSpec((batch,), tf.int64),
        tf.TensorSpec((2,), tf.int32),
        tf.TensorSpec((), tf.float32),
        tf.TensorSpec((), tf.float32),
    ]
    return tf.function(step, input_signature=signature, autograph=False)
