"""A generated project folder, read back: what bench and verify know of a build.

The folder's ``tinydeploy.json`` is the manifest that build wrote; beside it are the model, samples and the ELF.
Anything missing or broken is a UsageError that names the file and says how to get it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import OutputError, UsageError
from tinydeploy.preprocess import Preprocess

MANIFEST = "tinydeploy.json"
FORMAT = 1
_LAST_BUILD = Path("build", ".last")


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in the arena: its index in the .tflite, and where it lies from its step on. If it is quantized, its
    real value is (stored - zero_point) * scale; both are None for floats. `offset_bytes` is None for an input that is
    streamed and never stands in full, and for what an interpreter has placed. `channels` are those of the .tflite's
    last dimension that the compiler kept, where it removed some. `pitch_bytes` are from pixel to pixel where it is
    part of a wider tensor."""

    tensor: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    offset_bytes: int | None
    size_bytes: int
    scale: float | None
    zero_point: int | None
    channels: tuple[int, ...] | None = None
    pitch_bytes: int | None = None

    @property
    def start_bytes(self) -> int:
        """Where a step's output begins in the arena; it always has a place."""
        assert self.offset_bytes is not None
        return self.offset_bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the generated code: a C function, the tensors that it leaves in the arena."""

    index: int
    name: str
    op: str
    symbol: str
    macs: int
    weights_bytes: int
    outputs: tuple[StoredTensor, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """Real inputs as the model takes them, (N, *shape), and their classes (N,) or None."""

    inputs: NDArray[Any]
    labels: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class Project:
    """A build. ``fingerprint`` is the SHA-256 over the generated sources, ``accuracy`` the host's, by data type;
    ``preprocess`` what training did to pictures, None for features and for a model that came ready. ``runtime`` is what
    runs the model: compiled code ("tinydeploy") or TensorFlow Lite Micro's interpreter ("tflm")."""

    folder: Path
    tool_version: str
    board: str
    core: str
    model_name: str
    model_sha256: str
    fingerprint: str
    input: StoredTensor
    output: StoredTensor
    arena_bytes: int
    macs: int
    classes: tuple[str, ...] | None
    steps: tuple[Step, ...]
    accuracy: Mapping[str, float] | None
    preprocess: Preprocess | None = None
    runtime: str = "tinydeploy"

    @property
    def elf(self) -> Path:
        """The linked firmware; UsageError when the project has not been built."""
        path = self.folder / "build" / "firmware.elf"
        if not path.is_file():
            raise UsageError(f"{path} is missing; run make in {self.folder}")
        return path

    def model(self) -> bytes:
        """The .tflite that was compiled; UsageError when it is gone or another."""
        path = self.folder / "model.tflite"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} cannot be read ({error.strerror}); {_AGAIN}") from error
        if hashlib.sha256(data).hexdigest() != self.model_sha256:
            raise UsageError(f"{path} is not the model that {self.folder / MANIFEST} names; {_AGAIN}")
        return data

    def samples(self) -> Samples:
        """The stored test samples; UsageError when they are gone, broken or of another shape."""
        path = self.folder / "samples.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                inputs = stored["inputs"]
                labels = stored["labels"].astype(np.int64) if "labels" in stored else None
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise UsageError(f"{path} cannot be read ({reason}); {_AGAIN}") from error
        if inputs.ndim < 1 or len(inputs) == 0 or inputs.nbytes != len(inputs) * self.input.size_bytes:
            raise UsageError(
                f"{path} holds inputs of {inputs.dtype} {inputs.shape}, the model takes {self.input.dtype} "
                f"{self.input.shape}; {_AGAIN}"
            )
        if labels is not None and len(labels) != len(inputs):
            raise UsageError(f"{path} holds {len(inputs):,} inputs but {len(labels):,} labels; {_AGAIN}")
        return Samples(inputs, labels)


_AGAIN = "run tinydeploy build again"


def load_project(folder: Path) -> Project:
    """The project in `folder`; UsageError when it is none, or its manifest is broken or of another format."""
    path = folder / MANIFEST
    try:
        manifest = _Reader(path, json.loads(path.read_bytes()))
    except FileNotFoundError as error:
        raise UsageError(f"{folder} is no tinydeploy project: it has no {MANIFEST}; run tinydeploy build") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}); {_AGAIN}") from error
    if (found := manifest.integer("format")) != FORMAT:
        raise UsageError(f"{path} has format {found}, this tinydeploy reads {FORMAT}; {_AGAIN}")
    return Project(
        folder=folder,
        tool_version=manifest.text("tool_version"),
        board=manifest.text("board"),
        core=manifest.text("core"),
        model_name=manifest.text("model_name"),
        model_sha256=manifest.text("model_sha256"),
        fingerprint=manifest.text("fingerprint"),
        input=_tensor(manifest.child("input")),
        output=_tensor(manifest.child("output")),
        arena_bytes=manifest.integer("arena_bytes"),
        macs=manifest.integer("macs"),
        classes=None if manifest.absent("classes") else tuple(manifest.texts("classes")),
        steps=tuple(_step(step) for step in manifest.children("steps")),
        accuracy=None if manifest.absent("accuracy") else manifest.child("accuracy").numbers(),
        preprocess=None if manifest.absent("training") else _preprocess(manifest.child("training")),
        runtime="tinydeploy" if manifest.absent("runtime") else manifest.text("runtime"),
    )


def find_project(given: Path | None = None, cwd: Path | None = None) -> Project:
    """The project `given`, else the current folder if it is one, else the last build made from it."""
    cwd = cwd or Path.cwd()
    if given is not None:
        return load_project(given)
    if (cwd / MANIFEST).is_file():
        return load_project(cwd)
    record = cwd / _LAST_BUILD
    try:
        last = cwd / record.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "there is no project here and none was built from here; run tinydeploy build first, or name one with "
            "--project DIR"
        ) from error
    if not (last / MANIFEST).is_file():
        raise UsageError(f"the last build, {last}, is gone; {_AGAIN}, or name a project with --project DIR")
    return load_project(last)


def record_last_build(folder: Path, cwd: Path | None = None) -> None:
    """Remembers `folder` as what :func:`find_project` finds from `cwd`; OutputError when that cannot be written."""
    cwd = (cwd or Path.cwd()).resolve()
    record = cwd / _LAST_BUILD
    text = os.path.relpath(folder.resolve(), cwd) + "\n"
    try:
        if not record.is_file() or record.read_text("utf-8") != text:
            record.parent.mkdir(exist_ok=True)
            temporary = record.with_name(f".last-{os.getpid()}")
            temporary.write_text(text, "utf-8")
            temporary.replace(record)
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{record} cannot be written ({error}); check the folder's permissions") from error


class _Reader:
    """Typed access to a JSON object; what is missing or of another type is a UsageError with its place."""

    def __init__(self, path: Path, value: object, where: str = "") -> None:
        if not isinstance(value, dict):
            raise UsageError(f"{path}: {where or 'the manifest'} is not an object; {_AGAIN}")
        self._path = path
        self._where = where
        self._fields: dict[str, object] = value

    def _get(self, key: str, *types: type) -> Any:
        value = self._fields.get(key)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            state = "wrong" if key in self._fields else "missing"
            raise UsageError(f"{self._path}: {self._where}{key} is {state}; {_AGAIN}")
        return value

    def absent(self, key: str) -> bool:
        return self._fields.get(key) is None

    def text(self, key: str) -> str:
        value: str = self._get(key, str)
        return value

    def integer(self, key: str) -> int:
        value: int = self._get(key, int)
        return value

    def number(self, key: str) -> float:
        return float(self._get(key, int, float))

    def texts(self, key: str) -> list[str]:
        return [str(value) for value in self._get(key, list)]

    def shape(self, key: str) -> tuple[int, ...]:
        values = self._get(key, list)
        if not all(isinstance(value, int) for value in values):
            raise UsageError(f"{self._path}: {self._where}{key} is wrong; {_AGAIN}")
        return tuple(values)

    def numbers(self) -> dict[str, float]:
        return {key: self.number(key) for key in self._fields}

    def child(self, key: str) -> _Reader:
        return _Reader(self._path, self._get(key, dict), f"{self._where}{key}.")

    def children(self, key: str) -> list[_Reader]:
        values = self._get(key, list)
        return [_Reader(self._path, value, f"{self._where}{key}[{index}].") for index, value in enumerate(values)]


def _tensor(tensor: _Reader) -> StoredTensor:
    return StoredTensor(
        tensor=tensor.integer("tensor"),
        name=tensor.text("name"),
        shape=tensor.shape("shape"),
        dtype=tensor.text("dtype"),
        offset_bytes=None if tensor.absent("offset_bytes") else tensor.integer("offset_bytes"),
        size_bytes=tensor.integer("size_bytes"),
        scale=None if tensor.absent("scale") else tensor.number("scale"),
        zero_point=None if tensor.absent("zero_point") else tensor.integer("zero_point"),
        channels=None if tensor.absent("channels") else tensor.shape("channels"),
        pitch_bytes=None if tensor.absent("pitch_bytes") else tensor.integer("pitch_bytes"),
    )


def _preprocess(training: _Reader) -> Preprocess | None:
    if not training.absent("features"):
        return None
    stated = training.child("preprocess")
    return Preprocess(
        input_size=stated.integer("input_size"),
        channels=stated.integer("channels"),
        offset=stated.integer("offset"),
        divisor=stated.integer("divisor"),
        input_width=stated.integer("input_width"),
    )


def _step(step: _Reader) -> Step:
    return Step(
        index=step.integer("index"),
        name=step.text("name"),
        op=step.text("op"),
        symbol=step.text("symbol"),
        macs=step.integer("macs"),
        weights_bytes=step.integer("weights_bytes"),
        outputs=tuple(_tensor(output) for output in step.children("outputs")),
    )
