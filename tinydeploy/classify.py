"""One file through the model on a device: a picture as training prepared them, an array, or the input's own bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.datasets import decode
from tinydeploy.errors import UsageError
from tinydeploy.latency import ON_DEVICE, microseconds, origins
from tinydeploy.preprocess import Preprocess
from tinydeploy.project import Project
from tinydeploy.session import Session
from tinydeploy.tables import table
from tinydeploy.transport import VirtualTransport

_SHOWN = 3  # of the scores, the best ones


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of `file`: real values by class, the largest first (of equal ones the first class), and what
    the inference took."""

    file: str
    scores: tuple[tuple[str, float], ...]
    cycles: int
    latency_us: float


@dataclass(frozen=True, slots=True)
class Run:
    """Predictions of one device. `note` says what was assumed of the input, None where the project tells it."""

    board: str
    model: str
    device: str
    core_hz: int
    cycle_model: str
    note: str | None
    predictions: tuple[Prediction, ...]


def classify(project: Project, session: Session, pictures: Sequence[Path], arrays: Sequence[Path]) -> Run:
    """Run the model on each picture and each array or raw input. Greets the device; MismatchError unless it runs this
    build."""
    inputs = [(file, read_picture(project, file)) for file in pictures]
    inputs += [(file, read_array(project, file)) for file in arrays]
    info = session.hello()
    session.check(project.fingerprint, str(project.folder))
    predictions = []
    for file, values in inputs:
        inference = session.infer(values.tobytes())
        (cycles,) = inference.cycles
        scores = _ranked(project, inference.output)
        predictions.append(Prediction(str(file), scores, cycles, cycles * 1e6 / info.core_hz))
    virtual = session.transport if isinstance(session.transport, VirtualTransport) else None
    guessed = bool(pictures) and project.preprocess is None
    return Run(
        board=project.board,
        model=project.model_name,
        device=session.transport.name,
        core_hz=info.core_hz,
        cycle_model=ON_DEVICE if virtual is None else virtual.board.cycle_model,
        note="the model came ready: pixels are taken as 0 to 255 over the input's whole range" if guessed else None,
        predictions=tuple(predictions),
    )


def read_picture(project: Project, file: Path) -> NDArray[np.generic]:
    """The model's input from a picture, prepared as in training. UsageError when it is none or does not fit."""
    pixels = decode(_bytes_of(file))
    if pixels is None:
        raise UsageError(f"{file} is no picture that can be read whole; give a PNG or JPEG, or another file as --input")
    return _from_pixels(project, file, pixels)


def read_array(project: Project, file: Path) -> NDArray[np.generic]:
    """The model's input from an ``.npy``, or from the very bytes of it in any other file. UsageError when it does not
    fit."""
    data = _bytes_of(file)
    return _from_array(project, file) if file.suffix == ".npy" else _from_bytes(project, file, data)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}); look at its name and its permissions") from error


def _from_bytes(project: Project, file: Path, data: bytes) -> NDArray[np.generic]:
    if len(data) != project.input.size_bytes:
        raise UsageError(
            f"{file} has {len(data):,} B, the model takes {project.input.size_bytes:,} "
            f"({project.input.dtype} {_shape(project)}); write the input just as it lies in memory"
        )
    return np.frombuffer(data, project.input.dtype)


def _from_array(project: Project, file: Path) -> NDArray[np.generic]:
    """Values of the input's own type as they are, pixels (uint8) as a picture, real values by the input's scale."""
    try:
        values: NDArray[np.generic] = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"{file} cannot be read as .npy ({error}); save it with numpy.save") from error
    if values.dtype == np.uint8 and project.input.dtype != "uint8":
        grey = values.reshape(*values.shape, 1) if values.ndim == 2 else values
        if grey.ndim != 3 or grey.shape[-1] not in (1, 3):
            raise UsageError(f"{file} holds uint8 {values.shape}; pixels are (height, width, 1 or 3)")
        return _from_pixels(project, file, grey.view(np.uint8))
    if values.size * np.dtype(project.input.dtype).itemsize != project.input.size_bytes:
        raise UsageError(f"{file} holds {values.dtype} {values.shape}, the model takes {_shape(project)}")
    if values.dtype.kind == "f" and project.input.scale is not None and project.input.zero_point is not None:
        steps = values.astype(np.float64) / project.input.scale
        rounded = np.trunc(steps + np.copysign(0.5, steps)) + project.input.zero_point  # as TFLite's QUANTIZE
        limits = np.iinfo(project.input.dtype)
        return np.clip(rounded, limits.min, limits.max).astype(project.input.dtype)
    if values.dtype.kind == "f" and project.input.scale is None:
        return values.astype(project.input.dtype)
    if values.dtype != np.dtype(project.input.dtype):
        raise UsageError(
            f"{file} holds {values.dtype}, the model takes {project.input.dtype}, real values as floats, or pixels as "
            "uint8; save it as one of them"
        )
    return values


def _from_pixels(project: Project, file: Path, pixels: NDArray[np.uint8]) -> NDArray[np.generic]:
    tensor = project.input
    if project.preprocess is not None and tensor.scale is not None and tensor.zero_point is not None:
        resized = project.preprocess.resize(pixels[np.newaxis])
        return project.preprocess.quantized(resized, tensor.scale, tensor.zero_point)
    shape = tensor.shape[-3:]
    if len(shape) != 3 or shape[-1] not in (1, 3) or tensor.dtype not in ("int8", "uint8"):
        raise UsageError(
            f"{file} is a picture, but {project.model_name} takes {tensor.dtype} {_shape(project)}; give such "
            "values with --input"
        )
    height, width, channels = shape
    resized = Preprocess(height, channels, input_width=width).resize(pixels[np.newaxis])
    return resized if tensor.dtype == "uint8" else (resized ^ 0x80).view(np.int8)


def _shape(project: Project) -> str:
    return "x".join(map(str, project.input.shape))


def _ranked(project: Project, output: bytes) -> tuple[tuple[str, float], ...]:
    stored = np.frombuffer(output, project.output.dtype)
    real = stored.astype(np.float64)
    if project.output.scale is not None and project.output.zero_point is not None:
        real = (real - project.output.zero_point) * project.output.scale
    names = project.classes or tuple(map(str, range(len(real))))
    order = np.argsort(-real, kind="stable")
    return tuple((names[index], round(float(real[index]), 6)) for index in order)


def run_json(run: Run) -> str:
    """All fields of `run`, and the ``class`` of each prediction; scores as an object, the best first."""
    content = asdict(run)
    for prediction in content["predictions"]:
        scores = dict(prediction.pop("scores"))
        prediction |= {"class": next(iter(scores)), "scores": scores}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def run_report(run: Run) -> RenderableType:
    """A line per file, then which device it was and how its time was counted."""
    made = table(("file", "class", "next"), ("score", "latency"))
    for p in run.predictions:
        (best, score), *others = p.scores[:_SHOWN]
        following = ", ".join(f"{name} {value:.3f}" for name, value in others)
        made.add_row(Path(p.file).name, best, following, f"{score:.3f}", microseconds(p.latency_us))
    notes = [
        f"{run.model} on {run.board} at {run.core_hz / 1e6:g} MHz, {run.device}",
        *origins([("", run.cycle_model)]),
    ]
    return Group(made, "", *(Text(note) for note in [*notes, *([run.note] if run.note else [])]))
