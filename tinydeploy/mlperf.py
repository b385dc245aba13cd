"""MLPerf Tiny's benchmarks on a device: performance and accuracy mode, by its own text protocol (docs/MLPERF.md).

What is measured is what the open runner of mlcommons/tiny would measure: the device's own time between the two
``m-lap-us`` lines, the median of five windows; and the classes (or, for anomaly detection, the errors) of the official
inputs. Beyond it, every output is compared with TFLite Micro's. Energy mode needs an instrument and is not supported.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import LinkError, UsageError
from tinydeploy.latency import ON_DEVICE
from tinydeploy.mlperf_data import Sample
from tinydeploy.mlperf_records import TASKS, WINDOW_S, WINDOWS, Task, task_of
from tinydeploy.oracle import Oracle
from tinydeploy.project import Project, StoredTensor
from tinydeploy.transport import Transport, VirtualTransport

_READY = "m-ready"
_CHUNK_BYTES = 31  # of one `db` command, as the open runner sends them
_ANSWER_S = 5.0
_INFER_S = 600.0  # the longest window waited for
_TRIES = 3
_RESULT_TOLERANCE = 0.0015  # of an error printed with three places, summed up in another order

# Is told what is done and the total.
Progress = Callable[[int, int], None]
# Begins to count what it is called with, such as "kws01 inputs".
Stage = Callable[[str], AbstractContextManager[Progress]]
# A sample's label, and the results of each of its segments.
_Answer = tuple[int, Sequence[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Window:
    """What one `infer` tells: the time of all its measured runs, and the results of the first."""

    elapsed_us: int
    results: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark's outcome. ``latency_us`` is the median over the windows of a run's time; ``quality`` (of
    ``measure``, None without data) over ``samples`` official inputs. ``mismatches`` counts outputs of ``outputs`` that
    are not TFLite Micro's. ``valid_duration``: each window lasted 10 s, as a submission needs."""

    task: str
    title: str
    model: str
    model_sha256: str
    board: str
    core: str
    core_hz: int
    device: str
    cycle_model: str
    windows: int
    runs_per_window: int
    valid_duration: bool
    latency_us: float
    throughput_per_s: float
    cycles: int
    measure: str
    quality: float | None
    quality_target: float
    samples: int
    outputs: int
    mismatches: int


class TextDevice:
    """The device's side of the text protocol behind `transport`; lines that are no answers go to `on_text`."""

    def __init__(self, transport: Transport, on_text: Callable[[str], None] = lambda line: None) -> None:
        self._transport = transport
        self._on_text = on_text
        self._pending = b""

    def ask(self, command: str, timeout_s: float = _ANSWER_S) -> list[str]:
        """The lines that answer `command` (without its ``%``), ``m-ready`` left out. LinkError when it does not come
        within `timeout_s`, or an ``e-[...]`` does."""
        self._transport.write(f"{command}%".encode())
        end_s = self._transport.now_s() + timeout_s
        lines: list[str] = []
        while self._transport.now_s() < end_s:
            for line in self._lines(end_s):
                if line == _READY:
                    if errors := [text for text in lines if text.startswith("e-[")]:
                        raise LinkError(f"{self._transport.name} refused {command.split()[0]!r}: {errors[0][3:-1]}")
                    return lines
                if line.startswith(("m-", "e-[")):
                    lines.append(line)
                elif line:
                    self._on_text(line)
        raise LinkError(
            f"{self._transport.name} does not answer {command.split()[0]!r} in MLPerf's text protocol; flash a build "
            "of this tinydeploy (make flash)"
        )

    def greet(self) -> tuple[str, str]:
        """The device's name and its model, such as ("stm32f746", "kws01"); waits for a device that is just starting."""
        self._transport.read(4096, 0.5)
        self._transport.write(b"\0")  # ends a frame that another program has left unfinished
        for left in reversed(range(_TRIES)):
            try:
                name = _field(self.ask("name", 1.0), "name-dut")
                model = _field(self.ask("profile", 1.0), "model")
                return name, model
            except LinkError:
                if left == 0:
                    raise
        raise AssertionError

    def load(self, data: bytes) -> None:
        """Sends one input in the benchmark's encoding; again, a few times, when bytes were lost on the way."""
        for left in reversed(range(_TRIES)):
            try:
                self.ask(f"db load {len(data)}")
                done = [
                    self.ask(f"db {data[at : at + _CHUNK_BYTES].hex()}") for at in range(0, len(data), _CHUNK_BYTES)
                ]
                if done[-1] == ["m-load-done"]:
                    return
                raise LinkError(f"{self._transport.name} lost bytes of an input; check the cable and the baud rate")
            except LinkError:
                if left == 0:
                    raise

    def infer(self, runs: int, warmups: int) -> Window:
        """Runs the loaded input `runs` times after `warmups`; each `infer` needs a :meth:`load` before it."""
        lines = self.ask(f"infer {runs} {warmups}", _INFER_S)
        laps = [int(_field([line], "lap-us", brackets=False)) for line in lines if line.startswith("m-lap-us-")]
        if len(laps) != 2:
            raise LinkError(f"{self._transport.name} answered 'infer' without two times; flash a build of this version")
        results = _field(lines, "results")
        return Window(laps[1] - laps[0], tuple(float(text) for text in results.split(",") if text))

    def _lines(self, end_s: float) -> list[str]:
        self._pending += self._transport.read(4096, max(0.0, min(0.1, end_s - self._transport.now_s())))
        *whole, self._pending = re.split(rb"[\n\0]", self._pending)
        return [line.decode("ascii", "replace").strip() for line in whole]


def _field(lines: Sequence[str], name: str, brackets: bool = True) -> str:
    """What stands in ``m-NAME-[...]`` of one of `lines`."""
    pattern = rf"m-{name}-\[(.*)\]" if brackets else rf"m-{name}-(\d+)"
    for line in lines:
        if found := re.fullmatch(pattern, line):
            return found[1]
    raise LinkError(f"the device's answer has no m-{name}; flash a build of this tinydeploy")


def task_for(project: Project) -> Task:
    """The benchmark that `project` holds the model of; UsageError when it is none."""
    found = task_of(project.input.size_bytes, project.output.size_bytes)
    if found is None or project.input.dtype != "int8" or project.output.dtype != "int8":
        sizes = ", ".join(f"{task.name} {task.input_bytes:,} B to {task.output_bytes:,}" for task in TASKS)
        raise UsageError(
            f"{project.model_name} ({project.input.size_bytes:,} B to {project.output.size_bytes:,}, "
            f"{project.input.dtype}) is no model of MLPerf Tiny, which are int8: {sizes}; choose one of those"
        )
    return found


def run(
    project: Project,
    transport: Transport,
    core_hz: int,
    samples: Sequence[Sample] | None = None,
    *,
    on_text: Callable[[str], None] = lambda line: None,
    stage: Stage = lambda _what: nullcontext(lambda _done, _total: None),
) -> Benchmark:
    """Performance mode, and accuracy mode over `samples` where they are given, on the device behind `transport`.

    On a real device each of five windows lasts 10 s at least, as the rules ask; on a virtual board, where a run always
    takes the same time, one inference is all of it. ``stage`` counts the windows, then the inputs.
    """
    task = task_for(project)
    device = TextDevice(transport, on_text)
    name, model = device.greet()
    if (name, model) != (project.board, task.name):
        raise LinkError(
            f"{transport.name} is {name} with the model {model}, but {project.folder} holds {task.name} for "
            f"{project.board}; flash this build (make flash)"
        )
    first = [segment for sample in samples or () for segment in sample.segments[:1]][:WINDOWS]
    inputs = first or _stored_inputs(project, task)
    with _Checker(project, task) as checker:
        if isinstance(transport, VirtualTransport):
            cycle_model, count, runs, warmups = transport.board.cycle_model, 1, 1, 0
        else:
            cycle_model, count, warmups = ON_DEVICE, WINDOWS, task.warmups
            runs = _runs_per_window(device, task, inputs[0])
        turns = [inputs[index % len(inputs)] for index in range(count)]
        windows = _windows(device, checker, turns, runs, warmups, stage(f"{task.name} windows"))
        found = _results(device, checker, samples or (), stage(f"{task.name} inputs"))
    latency_us = statistics.median(window.elapsed_us for window in windows) / runs
    return Benchmark(
        task=task.name,
        title=task.title,
        model=project.model_name,
        model_sha256=project.model_sha256,
        board=project.board,
        core=project.core,
        core_hz=core_hz,
        device=transport.name,
        cycle_model=cycle_model,
        windows=len(windows),
        runs_per_window=runs,
        valid_duration=min(window.elapsed_us for window in windows) >= WINDOW_S * 1e6,
        latency_us=latency_us,
        throughput_per_s=1e6 / latency_us,
        cycles=round(latency_us * core_hz / 1e6),
        measure=task.measure,
        quality=quality(task, found) if found else None,
        quality_target=task.target,
        samples=len(found),
        outputs=checker.outputs,
        mismatches=checker.mismatches,
    )


def _runs_per_window(device: TextDevice, task: Task, data: bytes) -> int:
    """How many inferences of an input like `data` take a window's time, by the time of one; the task's at least."""
    device.load(data)
    once = device.infer(1, 0)
    return max(task.runs, math.ceil(1.02 * WINDOW_S * 1e6 / max(1, once.elapsed_us)))


def _windows(
    device: TextDevice,
    checker: _Checker,
    inputs: Sequence[bytes],
    runs: int,
    warmups: int,
    counting: AbstractContextManager[Progress],
) -> list[Window]:
    """Performance mode: a window for each of `inputs`."""
    windows = []
    with counting as progress:
        for data in inputs:
            device.load(data)
            windows.append(device.infer(runs, warmups))
            checker.check(data, windows[-1].results)
            progress(len(windows), len(inputs))
    return windows


def _results(
    device: TextDevice, checker: _Checker, samples: Sequence[Sample], counting: AbstractContextManager[Progress]
) -> list[_Answer]:
    """Accuracy mode: what the device answers to each of `samples`."""
    found: list[_Answer] = []
    with counting as progress:
        for sample in samples:
            results = []
            for segment in sample.segments:
                device.load(segment)
                results.append(device.infer(1, 0).results)
                checker.check(segment, results[-1])
            found.append((sample.label, results))
            progress(len(found), len(samples))
    return found


def quality(task: Task, found: Sequence[_Answer]) -> float:
    """Top-1 accuracy, or the AUC of the mean error of each recording, over labels and results; 0 to 1, and NaN for an
    AUC without both kinds of recordings."""
    if task.measure == "accuracy":
        return sum(int(np.argmax(results[0])) == label for label, results in found) / len(found)
    scores = [(label, float(np.mean([result[0] for result in results]))) for label, results in found]
    normal = [score for label, score in scores if label == 0]
    anomalous = [score for label, score in scores if label == 1]
    if not normal or not anomalous:
        return math.nan
    wins = sum((a > n) + 0.5 * (a == n) for a in anomalous for n in normal)
    return wins / (len(normal) * len(anomalous))


def model_input(task: Task, tensor: StoredTensor, data: bytes) -> NDArray[np.int8]:
    """The int8 input that the device makes of one input in the benchmark's encoding."""
    if task.encoding == "pixels":
        return (np.frombuffer(data, np.uint8) ^ 0x80).view(np.int8)
    if task.encoding == "int8":
        return np.frombuffer(data, np.int8)
    assert tensor.scale is not None
    assert tensor.zero_point is not None
    steps = np.frombuffer(data, "<f4") / np.float32(tensor.scale)
    rounded = np.trunc(steps + np.copysign(np.float32(0.5), steps))
    return np.clip(rounded + tensor.zero_point, -128, 127).astype(np.int8)


def wire_input(task: Task, tensor: StoredTensor, values: NDArray[np.int8]) -> bytes:
    """An int8 input in the benchmark's encoding: what :func:`model_input` makes into it again."""
    if task.encoding == "pixels":
        return (values.view(np.uint8) ^ 0x80).tobytes()
    if task.encoding == "int8":
        return values.tobytes()
    assert tensor.scale is not None
    assert tensor.zero_point is not None
    real = (values.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)
    return real.astype("<f4").tobytes()


def _stored_inputs(project: Project, task: Task) -> list[bytes]:
    inputs = project.samples().inputs[:WINDOWS]
    return [wire_input(task, project.input, np.ascontiguousarray(one).reshape(-1)) for one in inputs]


class _Checker:
    """Compares the device's printed results with TFLite Micro's outputs; use as a context manager."""

    def __init__(self, project: Project, task: Task) -> None:
        self._project = project
        self._task = task
        self._model = project.model()
        self._oracle = Oracle()
        self.outputs = 0
        self.mismatches = 0

    def __enter__(self) -> _Checker:
        return self

    def __exit__(self, *error: object) -> None:
        self._oracle.close()

    def check(self, data: bytes, results: Sequence[float]) -> None:
        """One input and what the device printed for it."""
        values = model_input(self._task, self._project.input, data)
        expected = self._oracle.run(self._model, values.reshape(1, *self._project.input.shape[-3:]))
        self.outputs += 1
        self.mismatches += not same_results(self._task, self._project.output, data, expected, results)


def same_results(
    task: Task, tensor: StoredTensor, data: bytes, expected: NDArray[np.int8], results: Sequence[float]
) -> bool:
    """Whether `results`, printed with three places, are those of the output `expected`: every int8 value of it, as its
    steps are larger than 0.001; for anomaly detection, the error that follows from it and the input `data`."""
    assert tensor.scale is not None
    assert tensor.zero_point is not None
    real = (expected.reshape(-1).astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)
    if task.encoding == "float32":
        error = float(np.mean(np.square(real - np.frombuffer(data, "<f4")), dtype=np.float64))
        return len(results) == 1 and abs(results[0] - error) <= _RESULT_TOLERANCE
    if len(results) != len(real):
        return False
    return bool(np.all(np.abs(np.asarray(results) - real) < min(0.5 * tensor.scale, 0.001)))
