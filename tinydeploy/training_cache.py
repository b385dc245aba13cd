"""Trained networks kept beside the builds, so that another board or toolchain does not train again."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.datasets import SPLIT_SEED
from tinydeploy.files import write_if_changed
from tinydeploy.preprocess import Preprocess

if TYPE_CHECKING:
    from tinydeploy.train import TrainedModel

WORST_SAMPLES = 24
_LEAST_ERROR = 1e-12
# The float network, to be another one's teacher.
FLOAT_MODEL = "float.keras"


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What a build needs of a training: the model, its test samples with its own outputs, and the facts for reports."""

    tflite: bytes
    inputs: NDArray[np.int8]
    labels: NDArray[np.int64]
    outputs: NDArray[np.int8]
    facts: Mapping[str, Any]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.facts["classes"])

    @property
    def output_names(self) -> tuple[str, ...] | None:
        """Names of the output's elements; an autoencoder's have none."""
        return self.class_names if self.classifies else None

    @property
    def float_accuracy(self) -> float:
        """Test accuracy before quantization."""
        return float(self.facts["float_accuracy"])

    @property
    def int8_accuracy(self) -> float:
        """Test accuracy of the .tflite."""
        return float(self.facts["int8_accuracy"])

    @property
    def classifies(self) -> bool:
        """Whether the outputs are class scores; an autoencoder's are its input again."""
        return self.facts["auc"] is None

    @property
    def measure(self) -> str:
        """What the network is judged by: ``accuracy`` or ``AUC``."""
        return "accuracy" if self.classifies else "AUC"

    @property
    def float_score(self) -> float:
        """The float network's accuracy, or area under the ROC curve."""
        return self.float_accuracy if self.classifies else float(self.facts["auc"]["float"])

    @property
    def int8_score(self) -> float:
        """The .tflite's."""
        return self.int8_accuracy if self.classifies else float(self.facts["auc"]["int8"])

    def pixel_table(self) -> NDArray[np.int8] | None:
        """The model's input for each pixel value, from the definition that training used; None for features."""
        if self.facts["features"] is not None:
            return None
        p = self.facts["preprocess"]
        preprocess = Preprocess(p["input_size"], p["channels"], p["offset"], p["divisor"])
        return preprocess.lookup_table(self.facts["input_scale"], self.facts["input_zero_point"])


def load(folder: Path) -> Trained | None:
    """The training in `folder`, or None where there is none or it is damaged."""
    try:
        facts = json.loads((folder / "training.json").read_text("utf-8"))
        with np.load(folder / "samples.npz", allow_pickle=False) as stored:
            inputs, labels, outputs = stored["inputs"], stored["labels"], stored["outputs"]
        if "auc" not in facts:  # of an older version
            return None
        return Trained((folder / "model.tflite").read_bytes(), inputs, labels, outputs, facts)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def store(folder: Path, model: TrainedModel) -> Trained:
    """Keep `model`; training.json comes last and so marks a whole entry."""
    facts = _facts(model)
    samples = io.BytesIO()
    np.savez(samples, inputs=model.test_inputs, labels=model.test_labels, outputs=model.test_outputs)
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / f"half-{os.getpid()}.keras"  # another process may store the same network
    model.network.save(half)
    half.replace(folder / FLOAT_MODEL)
    write_if_changed(folder / "model.tflite", model.tflite)
    write_if_changed(folder / "samples.npz", samples.getvalue())
    write_if_changed(folder / "training.json", (json.dumps(facts, indent=1) + "\n").encode())
    # Read back, so that a first and a later build see just the same.
    again = json.loads(json.dumps(facts))
    return Trained(model.tflite, model.test_inputs, model.test_labels, model.test_outputs, again)


def _facts(model: TrainedModel) -> dict[str, Any]:
    """How `model` came to be and how good it is, as plain JSON values."""
    from tinydeploy.tflite import read_model

    graph = read_model(model.tflite, model.spec.name)
    quant = graph.tensors[graph.input].quantization
    comparison = model.comparison
    data, recipe = model.dataset, model.dataset.recipe
    found = model.detection
    if found is None:
        confidences = (model.test_outputs.max(axis=-1).astype(np.float64) + 128) / 256
    else:
        confidences = np.abs(np.log(np.maximum(found.errors, _LEAST_ERROR) / max(found.limit, _LEAST_ERROR)))
    return {
        "spec": asdict(model.spec),
        "classes": list(model.class_names),
        "preprocess": dict(model.preprocess.to_manifest()),
        "features": asdict(data.features) if data.features else None,
        "input_scale": quant.scale,
        "input_zero_point": quant.zero_point,
        "epochs": model.epochs,
        "seed": model.seed,
        "recipe": asdict(recipe),
        "teacher": model.teacher,
        "data": data.source,
        "split": data.split_note,
        "split_seed": SPLIT_SEED,
        "split_sizes": [len(data.train), len(data.validation), len(data.test)],
        "split_counts": data.counts(),
        "skipped": list(data.skipped),
        "evaluated": comparison.samples,
        "float_accuracy": model.float_accuracy,
        "int8_accuracy": model.int8_accuracy,
        "auc": {"float": found.float_auc, "int8": found.int8_auc} if found else None,
        "calibrated_accuracy": model.calibrated.int8_accuracy if model.calibrated else None,
        "by_class": [asdict(row) for row in comparison.by_class(model.class_names)],
        "confusion": comparison.confusion(len(model.class_names)),
        "partings": [asdict(parting) for parting in comparison.partings()],
        "worst": [asdict(mistake) for mistake in comparison.worst(confidences, WORST_SAMPLES)],
        "history": [asdict(epoch) for epoch in model.history],
        "tuning": [asdict(epoch) for epoch in model.tuning],
        "noise": [asdict(layer) for layer in model.noise],
        "warnings": list(model.warnings),
    }
