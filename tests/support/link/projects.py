"""Projects with a small model compiled by tinydeploy: for a board, or for this machine behind the firmware's main."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from support.link.native_build import device_program_of
from support.net import Net
from tinydeploy import firmware
from tinydeploy.boards import Board
from tinydeploy.codegen import generate
from tinydeploy.compiler import compile_graph
from tinydeploy.cores import Core
from tinydeploy.image import Image
from tinydeploy.project import Project, load_project
from tinydeploy.tflite import read_model
from tinydeploy.toolchain import Toolchain, build_project


def small_model() -> bytes:
    """A convolution, a depthwise one with stride, pooling and a classifier of 4 classes; input 9x8x3."""
    net = Net(seed=3)
    at = net.input((1, 9, 8, 3))
    at = net.conv(at, 8, (3, 3))
    at = net.depthwise(at, (3, 3), stride=(2, 2))
    at = net.mean(at)
    at = net.fully_connected(at, 4)
    return net.done(at)


def project_files(
    model: bytes, core: Core | None, samples: int = 6, labels: bool = True, /, **changes: Any
) -> dict[str, str | bytes]:
    """What build would write beside the firmware, by path; `changes` go into the manifest. Samples are noise."""
    graph = read_model(model, "small")
    sources = generate(compile_graph(graph, core))
    manifest = {"format": 1, "accuracy": None, **sources.manifest, **changes}
    chance = np.random.default_rng(7)
    shape = graph.tensors[graph.input].shape
    stored = {"inputs": chance.integers(-128, 128, (samples, *shape), np.int8)}
    if labels:
        stored["labels"] = chance.integers(0, 4, samples)
    packed = io.BytesIO()
    np.savez(packed, **stored)
    return {
        **{f"model/{name}": text for name, text in sources.files.items()},
        "tinydeploy.json": json.dumps(manifest),
        "model.tflite": model,
        "samples.npz": packed.getvalue(),
    }


def write_project(folder: Path, model: bytes, samples: int = 6, labels: bool = True, **changes: Any) -> Project:
    """A project without firmware, for this machine."""
    changes = {"board": "host", "core": "native", **changes}
    for name, content in project_files(model, None, samples, labels, **changes).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_project(folder)


def write_board_project(
    folder: Path, model: bytes, board: Board, toolchain: Toolchain = "zig"
) -> tuple[Project, Image]:
    """A project for `board`, built."""
    firmware.write_project(project_files(model, board.core, board=board.name), board, folder)
    return load_project(folder), build_project(folder, toolchain)


def build_native(project: Project, *flags: str) -> Path:
    """The project's model and the firmware's main as a program of this machine."""
    return device_program_of(project.folder / "model", project.folder / "device", *flags)
