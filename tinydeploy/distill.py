"""Knowledge distillation (Hinton et al., 2015, arXiv:1503.02531): a larger network's opinion as a second target."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinydeploy._tensorflow import import_keras, import_tensorflow
from tinydeploy.errors import ModelError
from tinydeploy.preprocess import Preprocess

TEMPERATURE = 4.0
WEIGHT = 0.7
_PROBE_IMAGES = 4
_LEAST_PROBABILITY = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A trained Keras `model` from the student's own inputs to logits, and what its opinion counts.

    The student's loss is ``(1 - weight) * cross entropy + weight * temperature**2 * KL`` between both distributions
    softened by `temperature`. `name` and `digest` (of its weights) say which network it is.
    """

    model: Any
    name: str
    digest: str
    weight: float = WEIGHT
    temperature: float = TEMPERATURE

    def loss(self, images: Any, logits: Any) -> Any:
        """The second term for a batch: what separates the student's `logits` from the teacher's of `images`."""
        tf = import_tensorflow()
        theirs = tf.stop_gradient(self.model(images, training=False)) / self.temperature
        wanted = tf.nn.softmax(theirs)
        parted = wanted * (tf.nn.log_softmax(theirs) - tf.nn.log_softmax(logits / self.temperature))
        return self.temperature**2 * tf.reduce_mean(tf.reduce_sum(parted, axis=-1))


def digest_of(model: Any) -> str:
    """SHA-256, in hex, of a model's weights."""
    state = hashlib.sha256()
    for weight in model.get_weights():
        state.update(repr(weight.shape).encode() + np.ascontiguousarray(weight).tobytes())
    return state.hexdigest()


def load_teacher(file: Path, preprocess: Preprocess, classes: int) -> Any:
    """The Keras model in a .keras file, which must take the student's inputs and give logits, or probabilities.

    Raises ModelError when it does not, or is no such file.
    """
    keras = import_keras()
    try:
        model = keras.models.load_model(file, compile=False)
    except Exception as error:  # Keras raises whatever went wrong inside
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{file} cannot be read as a Keras model ({first}); save one with model.save") from error
    taken, given = tuple(model.input_shape[1:]), tuple(model.output_shape[1:])
    if (taken, given) != (preprocess.shape, (classes,)):
        raise ModelError(
            f"the teacher {file} maps {_shape(taken)} to {_shape(given)}, the student {_shape(preprocess.shape)} to "
            f"{classes}; give a teacher of the same input and classes"
        )
    return _to_logits(keras, model)


def _to_logits(keras: Any, model: Any) -> Any:
    """`model`, with a logarithm behind it where it gives probabilities: a softmax of them is the model's own again."""
    probe = np.random.default_rng(0).uniform(-1, 1, (_PROBE_IMAGES, *model.input_shape[1:])).astype(np.float32)
    given = np.asarray(model(probe, training=False))
    if not (np.all(given >= 0) and np.allclose(given.sum(axis=-1), 1, atol=1e-3)):
        return model
    likely = keras.layers.Rescaling(1.0, _LEAST_PROBABILITY)(model.output)
    return keras.Model(model.input, keras.ops.log(likely))


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)
