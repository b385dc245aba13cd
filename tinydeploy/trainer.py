"""A network and a dataset to trained weights: seeded, deterministic, watched through a callback, resumable.

The same network, data, recipe and seed give the same weights on the same machine and number of cores, interrupted or
not; floating-point sums may come out in another order elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
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
from tinydeploy.preprocess import Preprocess
from tinydeploy.progress import Watcher, ignore_progress
from tinydeploy.qat import QuantizedNetwork
from tinydeploy.training_loop import Learner, Step, run

_EVALUATION_BATCH = 256
# Quantization-aware training only settles in: its rate begins at this share of the recipe's.
TUNING_SHARE = 0.1
_TUNING_STREAM = 3


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
    if epochs < 1:
        raise UsageError(f"--epochs {epochs} is out of range; train for at least 1")
    tf = import_tensorflow()
    tf.config.experimental.enable_op_determinism()
    model = zoo.build(spec, seed=seed, dropout=dataset.recipe.dropout)
    preprocess = preprocess_of(spec)
    optimizer = optimizer_for(model, dataset)
    step = train_step(
        lambda images: model(images, training=True), model.trainable_variables, optimizer, dataset, preprocess, teacher
    )
    validate = Evaluator(lambda images: model(images, training=False), preprocess)
    # Weights first, then what else a step changes: the draws of dropout, the optimizer's moments.
    others = [v for v in model.variables if not any(v is weight for weight in model.weights)]
    learner = Learner(
        step,
        [*model.weights, *others, *optimizer.variables],
        len(model.weights),
        lambda: validate.accuracy(dataset.validation),
    )
    saved = None
    if checkpoint is not None:
        key = stamp.digest(spec, dataset.digest(), epochs, seed, teacher_key(teacher), tf.__version__)
        saved = Checkpoint(checkpoint, key)
    history = run(
        learner,
        dataset.recipe,
        dataset.train,
        preprocess,
        epochs=epochs,
        seed=(seed,),
        checkpoint=saved,
        progress=progress,
    )
    return model, history


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
    if epochs < 1:
        raise UsageError(f"--qat-epochs {epochs} is out of range; train for at least 1")
    tf = import_tensorflow()
    tf.config.experimental.enable_op_determinism()
    recipe = dataclasses.replace(dataset.recipe, learning_rate=dataset.recipe.learning_rate * TUNING_SHARE)
    data = dataclasses.replace(dataset, recipe=recipe)
    preprocess = preprocess_of(network.spec)
    optimizer = optimizer_for(network.model, data, network.variables)
    step = train_step(network.logits, network.variables, optimizer, data, preprocess, teacher)
    validate = Evaluator(network.logits, preprocess)
    variables = [*network.variables, *optimizer.variables]
    learner = Learner(step, variables, len(network.variables), lambda: validate.accuracy(dataset.validation))
    saved = None
    if checkpoint is not None:
        key = stamp.digest(network.digest(), dataset.digest(), epochs, seed, teacher_key(teacher), tf.__version__)
        saved = Checkpoint(checkpoint, key)
    return run(
        learner,
        recipe,
        dataset.train,
        preprocess,
        epochs=epochs,
        seed=(seed, _TUNING_STREAM),
        checkpoint=saved,
        progress=progress,
    )


def preprocess_of(spec: zoo.ModelSpec) -> Preprocess:
    """What happens to a picture before the network."""
    return Preprocess(spec.input_size, spec.channels, input_width=spec.input_width)


def teacher_key(teacher: Teacher | None) -> tuple[object, ...]:
    """What a training depends on of its teacher."""
    return () if teacher is None else (teacher.digest, teacher.weight, teacher.temperature)


class Evaluator:
    """A float network's answers for images of any size; `forward` maps real inputs to logits, inside TensorFlow."""

    def __init__(self, forward: Callable[[Any], Any], preprocess: Preprocess) -> None:
        self._preprocess = preprocess
        tf = import_tensorflow()
        # Static shapes would compile one function per odd last batch.
        signature = [tf.TensorSpec((None, *preprocess.shape), tf.float32)]
        self._run = tf.function(forward, input_signature=signature, autograph=False)

    def outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network gives for each image, (N, classes)."""
        parts = []
        for start in range(0, len(images), _EVALUATION_BATCH):
            resized = self._preprocess.resize(images[start : start + _EVALUATION_BATCH])
            parts.append(self._run(self._preprocess.real(resized)).numpy())
        return np.concatenate(parts)

    def predictions(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The most probable class of each image, (N,)."""
        return np.argmax(self.outputs(images), axis=1).astype(np.int64)

    def accuracy(self, split: Split) -> float:
        """The share of `split` that is classified right."""
        return float(np.mean(self.predictions(split.images) == split.labels))


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
    """One compiled step, as the loop takes it; `forward` maps real inputs to logits."""
    tf, keras = import_tensorflow(), import_keras()
    recipe, classes = dataset.recipe, len(dataset.class_names)
    batch = min(recipe.batch_size, len(dataset.train))
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    distort = augmenter(recipe.augmentation)

    def step(images: Any, labels: Any, seed: Any, share: Any, rate: Any) -> Any:
        pixels, targets = distort(tf.cast(images, tf.float32), seed), tf.one_hot(labels, classes)
        if recipe.augmentation.mixup:
            pixels, targets = mixed(pixels, share), mixed(targets, share)
        real = (pixels - preprocess.offset) / preprocess.divisor
        optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            logits = forward(real)
            loss = loss_of(targets, logits)
            if teacher is not None:
                loss = (1 - teacher.weight) * loss + teacher.weight * teacher.loss(real, logits)
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
