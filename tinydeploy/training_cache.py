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

from tinydeploy.firmware import write_if_changed
from tinydeploy.preprocess import Preprocess

if TYPE_CHECKING:
    from tinydeploy.train import TrainedModel

_FILES = ("model.tflite", "samples.npz", "training.json")


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What a build needs of a training: the model, its test samples, and the facts for reports."""

    tflite: bytes
    inputs: NDArray[np.int8]
    labels: NDArray[np.int64]
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

    def pixel_table(self) -> NDArray[np.int8]:
        """The model's input for each pixel value, from the definition that training used."""
        p = self.facts["preprocess"]
        preprocess = Preprocess(p["input_size"], p["channels"], p["offset"], p["divisor"])
        return preprocess.lookup_table(self.facts["input_scale"], self.facts["input_zero_point"])


def load(folder: Path) -> Trained | None:
    """The training in `folder`, or None where there is none or it is damaged."""
    try:
        facts = json.loads((folder / "training.json").read_text("utf-8"))
        with np.load(folder / "samples.npz", allow_pickle=False) as stored:
            inputs, labels = stored["inputs"], stored["labels"]
        return Trained((folder / "model.tflite").read_bytes(), inputs, labels, facts)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def store(folder: Path, model: TrainedModel) -> Trained:
    """Keep `model`; training.json comes last and so marks a whole entry."""
    from tinydeploy.tflite import read_model

    graph = read_model(model.tflite, model.spec.name)
    quant = graph.tensors[graph.input].quantization
    comparison = model.comparison
    facts = {
        "spec": asdict(model.spec),
        "classes": list(model.class_names),
        "preprocess": dict(model.preprocess.to_manifest()),
        "input_scale": quant.scale,
        "input_zero_point": quant.zero_point,
        "epochs": model.epochs,
        "seed": model.seed,
        "data": model.data_source,
        "split": model.split_note,
        "split_sizes": list(model.split_sizes),
        "evaluated": comparison.samples,
        "float_accuracy": model.float_accuracy,
        "int8_accuracy": model.int8_accuracy,
        "by_class": [asdict(row) for row in comparison.by_class(model.class_names)],
        "partings": [asdict(parting) for parting in comparison.partings()],
        "history": [asdict(epoch) for epoch in model.history],
        "warnings": list(model.warnings),
    }
    samples = io.BytesIO()
    np.savez(samples, inputs=model.test_inputs, labels=model.test_labels)
    write_if_changed(folder / "model.tflite", model.tflite)
    write_if_changed(folder / "samples.npz", samples.getvalue())
    write_if_changed(folder / "training.json", (json.dumps(facts, indent=1) + "\n").encode())
    # Read back, so that a first and a later build see just the same.
    return Trained(model.tflite, model.test_inputs, model.test_labels, json.loads(json.dumps(facts)))
