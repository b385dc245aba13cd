"""Projects that run as a native program: a small model, compiled by tinydeploy, behind the firmware's main."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from support.link.native_build import device_program_of
from support.net import Net
from tinydeploy.codegen import generate
from tinydeploy.compiler import compile_graph
from tinydeploy.project import Project, load_project
from tinydeploy.tflite import read_model


def small_model() -> bytes:
    """A convolution, a depthwise one with stride, pooling and a classifier of 4 classes; input 9x8x3."""
    net = Net(seed=3)
    at = net.input((1, 9, 8, 3))
    at = net.conv(at, 8, (3, 3))
    at = net.depthwise(at, (3, 3), stride=(2, 2))
    at = net.mean(at)
    at = net.fully_connected(at, 4)
    return net.done(at)


def write_project(folder: Path, model: bytes, samples: int = 6, labels: bool = True, **changes: Any) -> Project:
    """The folder that build would write, without firmware; `changes` go into the manifest."""
    graph = read_model(model, "small")
    sources = generate(compile_graph(graph, None))
    for name, text in sources.files.items():
        path = folder / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    manifest = {"format": 1, "board": "host", "accuracy": None, **sources.manifest, "core": "native", **changes}
    (folder / "tinydeploy.json").write_text(json.dumps(manifest))
    (folder / "model.tflite").write_bytes(model)
    chance = np.random.default_rng(7)
    shape = graph.tensors[graph.input].shape
    stored = {"inputs": chance.integers(-128, 128, (samples, *shape), np.int8)}
    if labels:
        stored["labels"] = chance.integers(0, 4, samples)
    np.savez(folder / "samples.npz", **stored)
    return load_project(folder)


def build_native(project: Project) -> Path:
    """The project's model and the firmware's main as a program of this machine."""
    return device_program_of(project.folder / "model", project.folder / "device")
