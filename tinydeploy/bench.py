"""Measures a build on a device: time, instructions, memory, and whether every output is TFLite Micro's.

On a serial port, cycles come from the device's own counter, and those of a layer from running it alone. On a virtual
board in this process, instructions and cycles are counted from the entry of each function to its return; the
instructions are exact, the cycles an estimate by the model that :attr:`Measurement.cycle_model` names.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import InternalError, UsageError
from tinydeploy.image import Image
from tinydeploy.latency import ON_DEVICE
from tinydeploy.oracle import Oracle
from tinydeploy.project import Project, Samples, Step
from tinydeploy.protocol import crc32
from tinydeploy.session import Inference, Session
from tinydeploy.transport import VirtualTransport

if TYPE_CHECKING:
    from tinydeploy.virtual import Call

INVOKE_SYMBOL = "model_invoke"
_LAYER_PASSES = 3  # over a serial port: the median of so many runs of each layer alone

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of the model; None where the device cannot count it or the run was cut short."""

    name: str
    op: str
    macs: int
    instructions: int | None
    cycles: int | None


@dataclass(frozen=True, slots=True)
class Measurement:
    """What bench reports; medians over `samples` inferences of model_invoke.

    ``unit`` is always "cycles", measured or estimated as ``cycle_model`` says. ``ram_bytes`` is the model's static RAM
    plus ``stack_bytes``, the stack of model_invoke; ``flash_bytes`` the model's code and constants. ``accuracy`` is the
    device's over these samples and ``host_accuracy`` TFLM's over the same, None without labels. ``exact``: every output
    of the run equals TFLM's; ``mismatches`` counts those that do not. ``interrupted``: Ctrl-C ended it early.
    """

    board: str
    core: str
    model: str
    device: str
    unit: str
    cycle_model: str
    core_hz: int
    model_sha256: str
    fingerprint: str
    macs: int
    instructions: int | None
    cycles: int
    latency_us: float
    latency_min_us: float
    latency_max_us: float
    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    stack_bytes: int
    firmware_flash_bytes: int
    firmware_ram_bytes: int
    samples: int
    accuracy: float | None
    host_accuracy: float | None
    exact: bool
    mismatches: int
    interrupted: bool
    per_layer: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """One sample on the device and on the host; ``calls`` are the counted functions, model_invoke last."""

    inference: Inference
    expected: bytes
    calls: Sequence[Call]


@dataclass(frozen=True, slots=True)
class _Record:
    """The runs until the last or Ctrl-C, one at least, and of a device that times its steps their cycles."""

    runs: Sequence[_Run]
    per_layer: tuple[Layer, ...]
    interrupted: bool


@dataclass(frozen=True, slots=True)
class _Figures:
    """What model_invoke took: ``cycles`` of each run of it, the rest as in :class:`Measurement`."""

    cycle_model: str
    cycles: Sequence[int]
    instructions: int | None
    stack_bytes: int
    per_layer: tuple[Layer, ...]


def bench(
    project: Project,
    session: Session,
    image: Image,
    *,
    samples: Samples | None = None,
    count: int = 10,
    runs: int = 1,
    progress: Progress | None = None,
) -> Measurement:
    """Runs `count` of `samples` (the project's own unless given) on the device, each `runs` times, and measures; where
    there are fewer, they come in turn, and only their first turn counts for the accuracy.

    Greets the device and raises MismatchError unless it runs this build. Ctrl-C after the first sample keeps what
    there is. `image` is of ``project.elf``. ``progress`` is told the samples done and their total.
    """
    info = session.hello()
    session.check(project.fingerprint, str(project.folder))
    if not 1 <= runs <= info.max_runs:
        raise UsageError(f"runs must be 1 to {info.max_runs}, not {runs}")
    if count < 1:
        raise UsageError(f"samples must be at least 1, not {count}")
    samples = samples or project.samples()
    virtual = _virtual(session)
    if virtual is not None:
        virtual.board.watch([INVOKE_SYMBOL, *dict.fromkeys(step.symbol for step in project.steps)])
    record = _record(project, session, samples.inputs, count, runs, progress)
    figures = _timed(record) if virtual is None else _counted(record, project.steps, virtual.board.cycle_model)
    first_turn = record.runs[: len(samples.inputs)]
    labels = None if samples.labels is None else samples.labels[: len(first_turn)]
    mismatches = sum(run.inference.output != run.expected for run in record.runs)
    us_per_cycle = 1e6 / info.core_hz
    return Measurement(
        board=project.board,
        core=project.core,
        model=project.model_name,
        device=session.transport.name,
        unit="cycles",
        cycle_model=figures.cycle_model,
        core_hz=info.core_hz,
        model_sha256=project.model_sha256,
        fingerprint=project.fingerprint,
        macs=project.macs,
        instructions=figures.instructions,
        cycles=_median(figures.cycles),
        latency_us=_median(figures.cycles) * us_per_cycle,
        latency_min_us=min(figures.cycles) * us_per_cycle,
        latency_max_us=max(figures.cycles) * us_per_cycle,
        flash_bytes=image.model_flash_bytes,
        ram_bytes=image.model_ram_bytes + figures.stack_bytes,
        arena_bytes=project.arena_bytes,
        stack_bytes=figures.stack_bytes,
        firmware_flash_bytes=image.flash_bytes,
        firmware_ram_bytes=image.ram_bytes,
        samples=len(record.runs),
        accuracy=_accuracy([run.inference.output for run in first_turn], labels, project.output.dtype),
        host_accuracy=_accuracy([run.expected for run in first_turn], labels, project.output.dtype),
        exact=mismatches == 0,
        mismatches=mismatches,
        interrupted=record.interrupted,
        per_layer=figures.per_layer,
    )


def _virtual(session: Session) -> VirtualTransport | None:
    return session.transport if isinstance(session.transport, VirtualTransport) else None


def _record(
    project: Project, session: Session, inputs: NDArray[Any], count: int, runs: int, progress: Progress | None
) -> _Record:
    """`count` of `inputs` on the device, then each step alone where the device times it. Ctrl-C before the end of the
    first run passes through."""
    done: list[_Run] = []
    untimed = tuple(Layer(step.name, step.op, step.macs, None, None) for step in project.steps)
    try:
        with Oracle() as oracle:
            for run in _runs(session, oracle, project.model(), inputs, count, runs):
                done.append(run)
                if progress is not None:
                    progress(len(done), count)
        layers = untimed if _virtual(session) else _timed_layers(project.steps, session, inputs[0].tobytes())
    except KeyboardInterrupt:
        if not done:
            raise
        return _Record(done, untimed, interrupted=True)
    return _Record(done, layers, interrupted=False)


def _runs(
    session: Session, oracle: Oracle, model: bytes, inputs: NDArray[Any], count: int, runs: int
) -> Iterator[_Run]:
    """`count` of `inputs`, in turn, on the device; the oracle is asked about each once."""
    virtual = _virtual(session)
    answers: dict[int, bytes] = {}
    for index in range(count):
        which = index % len(inputs)
        if virtual is not None:
            virtual.take_calls()  # what went before is not counted
        inference = session.infer(inputs[which].tobytes(), runs)
        calls = virtual.take_calls() if virtual is not None else ()
        if which not in answers:
            answers[which] = oracle.run(model, inputs[which : which + 1]).tobytes()
        yield _Run(inference, answers[which], calls)


def _timed(record: _Record) -> _Figures:
    """By the device's own counter."""
    inferences = [run.inference for run in record.runs]
    cycles = [value for inference in inferences for value in inference.cycles]
    return _Figures(ON_DEVICE, cycles, None, max(one.stack_bytes for one in inferences), record.per_layer)


def _counted(record: _Record, steps: Sequence[Step], cycle_model: str) -> _Figures:
    """By the calls that the virtual board counted."""
    invocations = [calls for run in record.runs for calls in _invocations(run.calls)]
    whole = [calls[-1] for calls in invocations]
    return _Figures(
        cycle_model,
        [call.cycles for call in whole],
        _median(call.instructions for call in whole),
        max(call.stack_bytes for call in whole),
        _counted_layers(steps, invocations),
    )


def _median(values: Iterable[int]) -> int:
    """The lower median: a value that was measured."""
    return statistics.median_low(values)


def _accuracy(outputs: Sequence[bytes], labels: NDArray[np.int64] | None, dtype: str) -> float | None:
    """The share of outputs whose largest element is at the label's place; the first of equal ones counts."""
    if labels is None:
        return None
    answers = [int(np.argmax(np.frombuffer(output, dtype))) for output in outputs]
    return float(np.mean(np.asarray(answers) == labels))


def _invocations(calls: Sequence[Call]) -> list[Sequence[Call]]:
    """`calls`, in order of return, cut after each return of model_invoke."""
    found = []
    start = 0
    for index, call in enumerate(calls):
        if call.symbol == INVOKE_SYMBOL:
            found.append(calls[start : index + 1])
            start = index + 1
    return found


def _counted_layers(steps: Sequence[Step], invocations: Sequence[Sequence[Call]]) -> tuple[Layer, ...]:
    """Medians per step; the calls inside one model_invoke are the steps in order."""
    for invocation in invocations:
        called = [call.symbol for call in invocation[:-1]]
        if called != [step.symbol for step in steps]:
            raise InternalError(f"{INVOKE_SYMBOL} called {called}, not the steps of the manifest; report this")
    return tuple(
        Layer(
            step.name,
            step.op,
            step.macs,
            _median(invocation[index].instructions for invocation in invocations),
            _median(invocation[index].cycles for invocation in invocations),
        )
        for index, step in enumerate(steps)
    )


def _timed_layers(steps: Sequence[Step], session: Session, data: bytes) -> tuple[Layer, ...]:
    """Cycles per step as the device counts them, each step run alone after its predecessors."""
    passes = []
    for _ in range(_LAYER_PASSES):
        session.write_input(data)
        passes.append([session.run_step(step.index, crc32(data)) for step in steps])
    return tuple(
        Layer(step.name, step.op, step.macs, None, _median(cycles[index] for cycles in passes))
        for index, step in enumerate(steps)
    )
