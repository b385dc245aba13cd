"""Proves a device bit for bit: every tensor that the plan keeps in memory against TFLite Micro's on the host.

The device digests each tensor (CRC-32 and CRC-32C, together 64 bits), which misses a difference once in 2^64; a tensor
whose digest differs is read and compared value by value, and so is a part of a wider tensor, which does not lie in one
piece. ``full`` reads them all: 230 KB for a small vision model,
20 s at 115,200 baud.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import InternalError
from tinydeploy.exchange import InterruptedLinkError
from tinydeploy.oracle import Oracle
from tinydeploy.project import Project, Step, StoredTensor
from tinydeploy.protocol import crc32, digest
from tinydeploy.session import Session

Progress = Callable[[int, int], None]
_RESTARTS = 4


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element that differs: of input number ``sample``, after step ``step``, at ``index`` in the tensor's own
    axes (NHWC for an image). ``elements`` counts all that differ in that tensor."""

    sample: int
    step: int
    layer: str
    op: str
    tensor: str
    index: tuple[int, ...]
    expected: int | float
    got: int | float
    elements: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, and the first difference or None. ``values`` counts single elements; ``full``: each was read,
    not digested."""

    board: str
    core: str
    device: str
    model: str
    model_sha256: str
    samples: int
    tensors: int
    values: int
    full: bool
    difference: Difference | None

    @property
    def passed(self) -> bool:
        """No element differed."""
        return self.difference is None


def verify(
    project: Project,
    session: Session,
    inputs: NDArray[Any],
    *,
    full: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Runs each of `inputs`, (N, *shape) in the model's type, step by step on the device, then as one model_invoke.

    Raises MismatchError when the device runs another build, LinkError when it cannot be reached. ``progress`` is told
    the inputs done and their total. Stops at the first difference. ``full``: see above.
    """
    session.hello()
    session.check(project.fingerprint, str(project.folder))
    model = project.model()
    tensors = values = 0
    difference = None
    done = 0
    with Oracle() as oracle:
        for sample, one in enumerate(inputs):
            expected = oracle.run_all_tensors(model, one)
            compared, difference = _persistently(project, session, sample, one, expected, full)
            tensors += len(compared)
            values += sum(compared)
            done += 1
            if progress is not None:
                progress(done, len(inputs))
            if difference is not None:
                break
    return Verification(
        board=project.board,
        core=project.core,
        device=session.transport.name,
        model=project.model_name,
        model_sha256=project.model_sha256,
        samples=done,
        tensors=tensors,
        values=values,
        full=full,
        difference=difference,
    )


def _persistently(
    project: Project, session: Session, sample: int, one: NDArray[Any], expected: dict[int, NDArray[Any]], full: bool
) -> tuple[list[int], Difference | None]:
    """:func:`_verify_one`, from the start again when a reset or another program interrupts it."""
    for _ in range(_RESTARTS):
        try:
            return _verify_one(project, session, sample, one, expected, full)
        except InterruptedLinkError:
            session.hello()
    return _verify_one(project, session, sample, one, expected, full)


def _verify_one(
    project: Project, session: Session, sample: int, one: NDArray[Any], expected: dict[int, NDArray[Any]], full: bool
) -> tuple[list[int], Difference | None]:
    """The sizes of the tensors compared for one input, and the first difference."""
    data = one.tobytes()
    compared = []
    session.write_input(data)
    for step in project.steps:
        session.run_step(step.index, crc32(data))
        for stored in step.outputs:
            if stored.offset_bytes is None:
                continue  # an interpreter's own plan: where it lies is not known
            want = _expected(expected, stored)
            compared.append(want.size)
            dense = stored.pitch_bytes is None
            if not full and dense:
                found = session.digest_arena(stored.start_bytes, stored.size_bytes)
                if found == digest(want.tobytes()):
                    continue
            got = np.frombuffer(_read(session, stored), want.dtype)
            if (difference := _compare(sample, step, stored.name, want, got, stored.channels)) is not None:
                return compared, difference
    # The steps one by one are what was compared; that model_invoke does the same is seen in its output.
    want = expected[project.output.tensor]
    got = np.frombuffer(session.infer(data).output, want.dtype)
    compared.append(want.size)
    return compared, _compare(sample, project.steps[-1], "output of model_invoke", want, got)


def _read(session: Session, stored: StoredTensor) -> bytes:
    """A tensor's own bytes from the arena, in order."""
    if stored.pitch_bytes is None:
        return session.read_arena(stored.start_bytes, stored.size_bytes)
    width = stored.shape[-1]
    pixels = stored.size_bytes // width
    between = stored.pitch_bytes - width
    raw = session.read_arena(stored.start_bytes, pixels * stored.pitch_bytes - between)
    return np.frombuffer(raw + bytes(between), np.int8).reshape(pixels, -1)[:, :width].tobytes()


def _expected(expected: dict[int, NDArray[Any]], stored: StoredTensor) -> NDArray[Any]:
    want = expected.get(stored.tensor)
    if want is not None and stored.channels is not None:
        want = np.ascontiguousarray(want[..., stored.channels])
    if want is None or want.nbytes != stored.size_bytes:
        found = "nothing" if want is None else f"{want.nbytes:,} B"
        raise InternalError(
            f"tensor {stored.tensor} ({stored.name}) has {stored.size_bytes:,} B in the plan and {found} in TFLM; "
            "report this"
        )
    return want


def _compare(
    sample: int,
    step: Step,
    tensor: str,
    want: NDArray[Any],
    got: NDArray[Any],
    channels: tuple[int, ...] | None = None,
) -> Difference | None:
    """The first difference in memory order, compared as bits; its place is told in the .tflite's own `channels`."""
    bits = f"u{want.dtype.itemsize}"
    differs = want.reshape(-1).view(bits) != got.view(bits)
    if not differs.any():
        return None
    first = int(np.argmax(differs))
    index = [int(axis) for axis in np.unravel_index(first, want.shape)]
    if channels is not None:
        index[-1] = channels[index[-1]]
    return Difference(
        sample=sample,
        step=step.index,
        layer=step.name,
        op=step.op,
        tensor=tensor,
        index=tuple(index),
        expected=want.reshape(-1)[first].item(),
        got=got[first].item(),
        elements=int(differs.sum()),
    )
