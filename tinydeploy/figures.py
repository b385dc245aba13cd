"""The figures of a build that two builds are compared by, from wherever they come.

A measurement by ``bench`` has all of them, its JSON too; a manifest (tinydeploy.json, or ``build --json``) has sizes
and layers but no times. What is not known is None, and compared with nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.bench import Measurement, bench
from tinydeploy.connection import connected
from tinydeploy.errors import UsageError
from tinydeploy.image import read_image
from tinydeploy.project import MANIFEST, Project, load_project


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """One layer: its name and operator, its multiply-accumulates, and its cycles where it was run."""

    name: str
    op: str
    macs: int
    cycles: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """One build. ``ram_bytes`` is the model's arena, variables and stack, ``flash_bytes`` its code and constants, both
    without the firmware around it; ``accuracy`` is in percent. ``exact``: every output equalled TFLite Micro's.
    ``cycle_model``: where cycles and latency come from, None where there are none."""

    model: str
    board: str
    latency_us: float | None
    cycles: int | None
    instructions: int | None
    ram_bytes: int | None
    arena_bytes: int | None
    stack_bytes: int | None
    flash_bytes: int | None
    accuracy: float | None
    macs: int | None
    exact: bool | None
    cycle_model: str | None
    layers: tuple[LayerFigures, ...]


def measured_figures(measurement: Measurement, accuracy: float | None = None) -> Figures:
    """What bench has measured. `accuracy`, a share, is that of more samples than it ran, where there is one."""
    m = measurement
    share = m.accuracy if accuracy is None else accuracy
    return Figures(
        m.model,
        m.board,
        m.latency_us,
        m.cycles,
        m.instructions,
        m.ram_bytes,
        m.arena_bytes,
        m.stack_bytes,
        m.flash_bytes,
        None if share is None else 100 * share,
        m.macs,
        m.exact,
        m.cycle_model,
        tuple(LayerFigures(layer.name, layer.op, layer.macs, layer.cycles) for layer in m.per_layer),
    )


def project_figures(project: Project, count: int, constants: Path | None = None) -> Figures:
    """Runs `count` samples of a built project on the virtual board, its cycles by `constants` or the project's own."""
    with connected(project, constants=constants) as session:
        measurement = bench(project, session, read_image(project.elf), count=count)
    return measured_figures(measurement, (project.accuracy or {}).get("int8"))


def read_figures(source: Path, count: int) -> Figures:
    """The figures of `source`: a project folder, which is measured with `count` samples, or JSON of bench or build.

    Raises UsageError for anything else, naming it.
    """
    if source.is_dir():
        return project_figures(load_project(source), count)
    try:
        found = json.loads(source.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{source} cannot be read ({error.strerror}); give a project or JSON of bench") from error
    except ValueError as error:
        raise UsageError(f"{source} is no JSON ({error}); write it with tinydeploy bench --json") from error
    try:
        if "per_layer" in found:
            return _of_measurement(found)
        if "steps" in found:
            return _of_manifest(found)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{source} is not as bench or build write it ({error!r}); write it again") from error
    raise UsageError(f"{source} is neither of bench (--json) nor of build (--json, {MANIFEST}); give one of these")


def _of_measurement(found: Mapping[str, Any]) -> Figures:
    accuracy = found["accuracy"]
    numbers = ("latency_us", "cycles", "instructions", "ram_bytes", "arena_bytes", "stack_bytes", "flash_bytes", "macs")
    return Figures(
        model=str(found["model"]),
        board=str(found["board"]),
        accuracy=None if accuracy is None else 100 * _number(accuracy),
        exact=bool(found["exact"]),
        cycle_model=str(found["cycle_model"]),
        layers=tuple(
            LayerFigures(str(layer["name"]), str(layer["op"]), _number(layer["macs"]), _number(layer["cycles"]))
            for layer in found["per_layer"]
        ),
        **{key: _number(found[key]) for key in numbers},
    )


def _of_manifest(found: Mapping[str, Any]) -> Figures:
    accuracy = found.get("accuracy")
    return Figures(
        model=str(found["model_name"]),
        board=str(found["board"]),
        latency_us=None,
        cycles=None,
        instructions=None,
        ram_bytes=None,
        arena_bytes=_number(found["arena_bytes"]),
        stack_bytes=None,
        flash_bytes=_number(found.get("flash_bytes")),
        accuracy=None if accuracy is None else 100 * _number(accuracy["int8"]),
        macs=_number(found["macs"]),
        exact=None,
        cycle_model=None,
        layers=tuple(
            LayerFigures(str(step["name"]), str(step["op"]), _number(step["macs"]), None) for step in found["steps"]
        ),
    )


def _number(value: Any) -> Any:
    """A number or None as JSON has it; TypeError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise TypeError(f"{value!r} is no number")
    return value
