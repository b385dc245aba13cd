"""A network and a dataset to trained weights: seeded, deterministic, watched through a callback.

The same network, data, epochs and seed give the same weights on the same machine and number of cores; floating-point
sums may come out in another order elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy import zoo
from tinydeploy._tensorflow import import_keras, import_tensorflow
from tinydeploy.augment import augmenter
from tinydeploy.datasets import Dataset, Split
from tinydeploy.errors import UsageError
from tinydeploy.preprocess import Preprocess
from tinydeploy.progress import Progress, Watcher, ignore_progress

BATCH_SIZE = 64
_WARM_UP_SHARE = 0.05
_EVALUATION_BATCH = 256
_RESIZED_BEFOREHAND_BYTES = 1 << 30
# Draws of one training come from streams that never meet: shuffling, augmentation.
_SHUFFLE_STREAM, _AUGMENT_STREAM = 1, 2


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the training history: mean loss, learning rate at its end, accuracy on the validation split."""

    loss: float
    learning_rate: float
    validation_accuracy: float


def train(
    spec: zoo.ModelSpec, dataset: Dataset, *, epochs: int, seed: int, progress: Watcher = ignore_progress
) -> tuple[Any, tuple[Epoch, ...]]:
    """Train `spec` on the training split; the Keras model (images to logits) and its history.

    Adam, linear warm-up and cosine decay to zero over all steps, the dataset's own augmentation and dropout. The last
    weights are kept: nothing is chosen by validation. KeyboardInterrupt passes through between steps.
    """
    if epochs < 1:
        raise UsageError(f"--epochs {epochs} is out of range; train for at least 1")
    tf, keras = import_tensorflow(), import_keras()
    tf.config.experimental.enable_op_determinism()
    model = zoo.build(spec, seed=seed, dropout=dataset.recipe.dropout)
    preprocess = Preprocess(spec.input_size, spec.channels)
    count = len(dataset.train)
    batch = min(BATCH_SIZE, count)
    steps = count // batch
    schedule = _schedule(epochs * steps, dataset.recipe.learning_rate)
    train_step = _train_step(tf, keras, model, dataset, preprocess, batch)
    images_of = _feed(dataset.train, preprocess)
    validate = Evaluator(model, preprocess)
    history = []
    for epoch in range(epochs):
        order = np.random.default_rng((seed, _SHUFFLE_STREAM, epoch)).permutation(count)
        loss, rate = 0.0, 0.0
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            rate = schedule(epoch * steps + step)
            draw = np.random.default_rng((seed, _AUGMENT_STREAM, epoch, step)).integers(1 << 31, size=2)
            step_loss = train_step(
                images_of(chosen), dataset.train.labels[chosen], draw.astype(np.int32), np.float32(rate)
            )
            loss += float(step_loss) / steps
            if step < steps - 1:
                progress(Progress("train", epoch + 1, epochs, step + 1, steps, float(step_loss)))
        accuracy = validate.accuracy(dataset.validation)
        history.append(Epoch(loss, rate, accuracy))
        progress(Progress("train", epoch + 1, epochs, steps, steps, loss, accuracy))
    return model, tuple(history)


class Evaluator:
    """A float model's predictions for images of any size."""

    def __init__(self, model: Any, preprocess: Preprocess) -> None:
        self._preprocess = preprocess
        # Static shapes would compile one function per odd last batch.
        shape = (None, preprocess.input_size, preprocess.input_size, preprocess.channels)
        tf = import_tensorflow()
        self._run = tf.function(
            lambda images: model(images, training=False),
            input_signature=[tf.TensorSpec(shape, tf.float32)],
            autograph=False,
        )

    def predictions(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The most probable class of each image, (N,)."""
        parts = []
        for start in range(0, len(images), _EVALUATION_BATCH):
            resized = self._preprocess.resize(images[start : start + _EVALUATION_BATCH])
            parts.append(np.argmax(self._run(self._preprocess.real(resized)).numpy(), axis=1))
        return np.concatenate(parts).astype(np.int64)

    def accuracy(self, split: Split) -> float:
        """The share of `split` that is classified right."""
        return float(np.mean(self.predictions(split.images) == split.labels))


def _feed(split: Split, preprocess: Preprocess) -> Callable[[NDArray[np.int64]], NDArray[np.uint8]]:
    """Images at the input size by their indices: all resized beforehand where memory allows, or else batch by batch."""
    if len(split) * preprocess.input_size**2 * preprocess.channels > _RESIZED_BEFOREHAND_BYTES:
        return lambda chosen: preprocess.resize(split.images[chosen])
    resized = preprocess.resize(split.images)
    return lambda chosen: resized[chosen]


def _schedule(steps: int, peak: float) -> Callable[[int], float]:
    warm_up = max(1, round(steps * _WARM_UP_SHARE))

    def rate(step: int) -> float:
        if step < warm_up:
            return peak * (step + 1) / warm_up
        return peak * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) / 2

    return rate


def _train_step(tf: Any, keras: Any, model: Any, dataset: Dataset, preprocess: Preprocess, batch: int) -> Any:
    """One compiled step: (uint8 images, labels, augmentation seed, learning rate) to the loss before it."""
    optimizer = keras.optimizers.Adam(dataset.recipe.learning_rate)
    optimizer.build(model.trainable_variables)
    smoothing, classes = dataset.recipe.label_smoothing, len(dataset.class_names)
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    distort = augmenter(dataset.recipe.augmentation)
    size, channels = preprocess.input_size, preprocess.channels

    def step(images: Any, labels: Any, seed: Any, rate: Any) -> Any:
        pixels = distort(tf.cast(images, tf.float32), seed)
        optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            logits = model((pixels - preprocess.offset) / preprocess.divisor, training=True)
            loss = loss_of(tf.one_hot(labels, classes), logits)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    signature = [
        tf.TensorSpec((batch, size, size, channels), tf.uint8),
        tf.TensorSpec((batch,), tf.int64),
        tf.TensorSpec((2,), tf.int32),
        tf.TensorSpec((), tf.float32),
    ]
    return tf.function(step, input_signature=signature, autograph=False)
