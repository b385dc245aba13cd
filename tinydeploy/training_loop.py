"""The loop around training steps: epochs, learning rate, validation, early stopping, and picking up where it stopped.

Every draw comes from the seed and the number of epoch and step, never from what was drawn before: a training that was
interrupted and resumed ends in the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.checkpoint import Checkpoint, Epoch, Position
from tinydeploy.datasets import Recipe, Split
from tinydeploy.preprocess import Preprocess
from tinydeploy.progress import Progress, Watcher, ignore_progress

_WARM_UP_SHARE = 0.05
_RESIZED_BEFOREHAND_BYTES = 1 << 30
# Draws of one training come from streams that never meet: shuffling, augmentation.
_SHUFFLE_STREAM, _AUGMENT_STREAM = 1, 2
# A crash loses no more than this; an interrupt loses nothing.
_SAVE_EVERY_S = 60.0

# (uint8 images, labels, augmentation seed int32[2], mixup's share, learning rate) to the loss before the step.
Step = Callable[[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32], np.float32, np.float32], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """What the loop drives. `variables` are all that a `step` changes, the first `weights` of them the network's own;
    each can be assigned and read as numpy. `accuracy` is that of the network now, on the validation split."""

    step: Step
    variables: Sequence[Any]
    weights: int
    accuracy: Callable[[], float]


def run(
    learner: Learner,
    recipe: Recipe,
    split: Split,
    preprocess: Preprocess,
    *,
    epochs: int,
    seed: tuple[int, ...],
    checkpoint: Checkpoint | None = None,
    progress: Watcher = ignore_progress,
) -> tuple[Epoch, ...]:
    """Train on `split` for `epochs`, or until patience ends; the history. The learner holds the result.

    Linear warm-up and cosine decay to zero over all steps. Without a patience the last weights are kept: nothing is
    chosen by validation. KeyboardInterrupt passes through between steps, the position saved.
    """
    at = checkpoint.load() if checkpoint else None
    if at is None:
        at = Position(0, 0, 0.0, (), _read(learner.variables))
    else:
        _assign(learner.variables, at.variables)
    count = len(split)
    batch = min(recipe.batch_size, count)
    steps = count // batch
    rate_at = schedule(epochs * steps, recipe.learning_rate)
    images_of = _feed(split, preprocess)
    saver = _Saver(checkpoint)
    with _interrupts() as interrupted:
        while at.epoch < epochs and not _out_of_patience(at, recipe.patience):
            order = np.random.default_rng((*seed, _SHUFFLE_STREAM, at.epoch)).permutation(count)
            loss, rate = at.loss, 0.0
            for step in range(at.step, steps):
                chosen = order[step * batch : (step + 1) * batch]
                rate = rate_at(at.epoch * steps + step)
                draw, share = _draws((*seed, _AUGMENT_STREAM, at.epoch, step), recipe.augmentation.mixup)
                step_loss = float(learner.step(images_of(chosen), split.labels[chosen], draw, share, np.float32(rate)))
                loss += step_loss / steps
                if step == steps - 1:
                    break
                now = Position(at.epoch, step + 1, loss, at.history, (), at.best_epoch, at.best)
                with saver.on_interrupt(now, learner):
                    progress(Progress("train", at.epoch + 1, epochs, step + 1, steps, step_loss))
                    if interrupted.is_set():
                        raise KeyboardInterrupt
                saver.now_and_then(now, learner)
            at = _ended(at, loss, rate, learner, keep_best=recipe.patience is not None)
            saver.save(at, learner)
            last = at.history[-1]
            progress(Progress("train", at.epoch, epochs, steps, steps, last.loss, last.validation_accuracy))
            if interrupted.is_set() and at.epoch < epochs:
                raise KeyboardInterrupt
    if at.best:
        _assign(learner.variables[: learner.weights], at.best)
    return at.history


def schedule(steps: int, peak: float) -> Callable[[int], float]:
    """The learning rate by step: a twentieth of linear warm-up to `peak`, and half a cosine down to zero."""
    warm_up = max(1, round(steps * _WARM_UP_SHARE))

    def rate(step: int) -> float:
        if step < warm_up:
            return peak * (step + 1) / warm_up
        return peak * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) / 2

    return rate


def _draws(stream: tuple[int, ...], mixup: float) -> tuple[NDArray[np.int32], np.float32]:
    """The seed of a step's augmentation, and the share of mixup (1: nothing is mixed)."""
    rng = np.random.default_rng(stream)
    seed = rng.integers(1 << 31, size=2).astype(np.int32)
    return seed, np.float32(rng.beta(mixup, mixup) if mixup else 1.0)


def _ended(at: Position, loss: float, rate: float, learner: Learner, *, keep_best: bool) -> Position:
    """The position after an epoch, judged."""
    accuracy = learner.accuracy()
    history = (*at.history, Epoch(loss, rate, accuracy))
    best_epoch, best = at.best_epoch, at.best
    if keep_best and (best_epoch < 0 or accuracy > history[best_epoch].validation_accuracy):
        best_epoch, best = at.epoch, _read(learner.variables[: learner.weights])
    return Position(at.epoch + 1, 0, 0.0, history, (), best_epoch, best)


def _out_of_patience(at: Position, patience: int | None) -> bool:
    return patience is not None and at.best_epoch >= 0 and at.epoch - 1 - at.best_epoch >= patience


class _Saver:
    """Writes positions, with the variables as they are now; nothing where there is no checkpoint."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self._checkpoint = checkpoint
        self._saved_at = time.monotonic()

    def save(self, at: Position, learner: Learner) -> None:
        if self._checkpoint is not None:
            variables = _read(learner.variables)
            self._checkpoint.save(Position(at.epoch, at.step, at.loss, at.history, variables, at.best_epoch, at.best))
            self._saved_at = time.monotonic()

    def now_and_then(self, at: Position, learner: Learner) -> None:
        if time.monotonic() - self._saved_at > _SAVE_EVERY_S:
            self.save(at, learner)

    @contextlib.contextmanager
    def on_interrupt(self, at: Position, learner: Learner) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self.save(at, learner)
            raise


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that no step is torn in two; a second Ctrl-C interrupts at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def press(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _feed(split: Split, preprocess: Preprocess) -> Callable[[NDArray[np.int64]], NDArray[np.uint8]]:
    """Images at the input size by their indices: all resized beforehand where memory allows, or else batch by batch."""
    if len(split) * math.prod(preprocess.shape) > _RESIZED_BEFOREHAND_BYTES:
        return lambda chosen: preprocess.resize(split.images[chosen])
    resized = preprocess.resize(split.images)
    return lambda chosen: resized[chosen]


def _read(variables: Sequence[Any]) -> list[NDArray[Any]]:
    return [np.array(variable) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
