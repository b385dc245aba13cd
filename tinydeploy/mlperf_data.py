"""The official inputs of an MLPerf Tiny benchmark, as its runner keeps them: ``y_labels.csv`` and a file per input.

A line of the table is ``file,classes,class``, and for anomaly detection also the bytes and the stride of the windows
that a recording is cut into (mlcommons/tiny, benchmark/evaluation/datasets/README.md).
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.errors import UsageError
from tinydeploy.mlperf_records import Task

LABELS = "y_labels.csv"


@dataclass(frozen=True, slots=True)
class Sample:
    """An input file: its class, and one piece, or for a recording each window, of the benchmark's input size."""

    file: str
    label: int
    segments: tuple[bytes, ...]


def has_samples(folder: Path, task: Task) -> bool:
    """Whether `folder` holds inputs of `task`, as :func:`read_samples` looks for them."""
    return _place(folder, task).is_dir() or _archive(folder, task).is_file()


def _place(folder: Path, task: Task) -> Path:
    return folder / task.name


def _archive(folder: Path, task: Task) -> Path:
    return folder / f"{task.name}.tar.xz"


def read_samples(folder: Path, task: Task, most: int | None = None) -> list[Sample] | None:
    """The first `most` samples of `task` in ``folder/TASK`` or ``folder/TASK.tar.xz``; None when there is neither.

    Raises UsageError when they are broken or of another size.
    """
    place, archive = _place(folder, task), _archive(folder, task)
    try:
        if place.is_dir():
            return _samples(lambda name: (place / name).read_bytes(), task, most, place)
        if not archive.is_file():
            return None
        files: dict[str, bytes] = {}
        with tarfile.open(archive) as packed:  # in one pass: a compressed archive cannot be read to and fro
            for member in packed:
                if (file := packed.extractfile(member)) is not None:
                    files[Path(member.name).name] = file.read()
        return _samples(files.__getitem__, task, most, archive)
    except (OSError, KeyError, tarfile.TarError) as error:
        raise UsageError(f"the data of {task.name} in {folder} cannot be read ({error}); fetch them again") from error


def _samples(read: Callable[[str], bytes], task: Task, most: int | None, where: Path) -> list[Sample]:
    table = io.StringIO(read(LABELS).decode("utf-8", "replace"))
    samples = []
    for row in list(csv.reader(table))[:most]:
        try:
            label = int(row[2])
            window, stride = (int(row[3]), int(row[4])) if len(row) > 4 else (task.wire_bytes, task.wire_bytes)
        except (IndexError, ValueError) as error:
            raise UsageError(
                f"{where}: {LABELS} has a line {','.join(row)!r}; it must be file,classes,class"
            ) from error
        data = read(row[0].strip())
        starts = range(0, len(data) - window + 1, max(1, stride))
        if window != task.wire_bytes or len(starts) == 0:
            raise UsageError(
                f"{where}: {row[0]} has {len(data):,} B in windows of {window:,}, {task.name} takes {task.wire_bytes:,}"
            )
        samples.append(Sample(row[0].strip(), label, tuple(data[at : at + window] for at in starts)))
    return samples
