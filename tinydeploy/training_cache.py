"""Trained networks kept beside the builds, so that another board or toolchain does not train again."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.datasets import SPLIT_SEED
from tinydeploy.firmware import write_if_changed
from tinydeploy.preprocess import Preprocess

if TYPE_CHECKING:
    from tinydeploy.train import TrainedModel

WORST_SAMPLES = 24
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
        """Names of the output's elements."""
        return tuple(self.facts["classes"])

    @property
    def float_accuracy(self) -> float:
        """Test accuracy before quantization."""
        return float(self.facts["float_accuracy"])

    @property
    def int8_accuracy(self) -> float:
        """Test accuracy of the .tflite."""
        return float(self.facts["int8_accuracy"])

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
        return Trained((folder / "model.tflite").read_bytes(), inputs, labels, outputs, facts)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def store(folder: Path, model: TrainedModel) -> Trained:
    """Keep `model`; training.json comes last and so marks a whole entry."""
    from tinydeploy.tflite import read_model

    graph = read_model(model.tflite, model.spec.name)
    quant = graph.tensors[graph.input].quantization
    comparison = model.comparison
    data, recipe = model.dataset, model.dataset.recipe
    confidences = (model.test_outputs.max(axis=-1).astype(np.float64) + 128) / 256
    facts = {
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
    samples = io.BytesIO()
    np.savez(samples, inputs=model.test_inputs, labels=model.test_labels, outputs=model.test_outputs)
    folder.mkdir(parents=True, exist_ok=True)
    model.network.save(folder / FLOAT_MODEL)
    write_if_changed(folder / "model.tflite", model.tflite)
    write_if_changed(folder / "samples.npz", samples.getvalue())
    write_if_changed(folder / "training.json", (json.dumps(facts, indent=1) + "\n").encode())
    # Read back, so that a first and a later build see just the same.
    again = json.loads(json.dumps(facts))
    return Trained(model.tflite, model.test_inputs, model.test_labels, model.test_outputs, again)
