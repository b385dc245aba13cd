"""Inferences through a line with faults: every result right, every failure told, no hang.

The board is the virtual one, or the firmware's link compiled for this machine, which is ten times faster.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from support.link.faults import Faults
from support.link.faulty_board import FaultyBoard, FaultyTransport
from support.link.native_board import NativeBoard
from support.link.native_build import device_library_of
from support.link.projects import write_board_project, write_project
from support.link.two_clients import SharedPort, SharedTransport, run_together
from support.net import Net
from tinydeploy.boards import load_board
from tinydeploy.errors import LinkError
from tinydeploy.reference import run_graph
from tinydeploy.session import Session
from tinydeploy.tflite import read_model
from tinydeploy.virtual import VirtualBoard

BOARD = "pico"
INPUTS = 64
HANG_S = 120.0  # of virtual time for one inference; giving up takes at most about half of it

TWO_CLIENTS = "two clients at once"
# The rates of the campaign. An inference is some 200 bytes on the line, so 1e-3 hits about every fifth.
CAMPAIGN = {
    "none": Faults(),
    "bit flips": Faults(flip=2e-3),
    "dropped bytes": Faults(drop=2e-3),
    "doubled bytes": Faults(double=2e-3),
    "inserted bytes": Faults(insert=2e-3),
    "delays": Faults(delay=1e-3),
    "resets": Faults(reset=1e-3),
    "cable pulled": Faults(pull=5e-4),
    "another program's garbage": Faults(garble=2e-3),
    TWO_CLIENTS: Faults(),
    "everything": Faults(3e-4, 3e-4, 3e-4, 3e-4, reset=1e-4, delay=2e-4, pull=5e-5, garble=2e-4),
}


@dataclass(slots=True)
class Tally:
    """What became of `asked` inferences; ``errors`` by their kind, ``struck`` by fault; ``hangs`` took too long."""

    asked: int = 0
    right: int = 0
    wrong: int = 0
    hangs: int = 0
    longest_s: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Both together."""
        for name in ("asked", "right", "wrong", "hangs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_s = max(self.longest_s, other.longest_s)
        self.errors += other.errors
        self.struck += other.struck


@dataclass(frozen=True, slots=True)
class Subject:
    """The firmware under test, inputs and what TFLite Micro's arithmetic makes of them. ``new_board()`` boots it."""

    baud: int
    new_board: Callable[[], VirtualBoard | NativeBoard]
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]


def make_subject(folder: Path, native: bool = False) -> Subject:
    """Two small layers behind an input of 16 bytes, built for `BOARD`, or for this machine."""
    net = Net(seed=7)
    at = net.fully_connected(net.fully_connected(net.input((1, 16)), 32), 8)
    model = net.done(at)
    board = load_board(BOARD)
    new_board: Callable[[], VirtualBoard | NativeBoard]
    if native:
        write_project(folder, model)
        library = device_library_of(folder / "model", folder / "device.so")
        new_board = partial(NativeBoard, library, board.uart.baud)
    else:
        project, _ = write_board_project(folder, model, board)
        new_board = partial(VirtualBoard, board, project.elf)
    graph = read_model(model, "tiny")
    inputs: NDArray[np.int8] = np.random.default_rng(1).integers(-128, 128, (INPUTS, 1, 16), dtype=np.int8)
    outputs = [run_graph(graph, values)[graph.output].astype(np.int8).tobytes() for values in inputs]
    return Subject(board.uart.baud, new_board, tuple(values.tobytes() for values in inputs), tuple(outputs))


def kind_of(error: LinkError) -> str:
    """The message of `error` without its figures and names."""
    words = re.sub(r"; it printed: .*?; (?=\w+)", "; ", str(error))
    return re.sub(r"[\d.,]*\d", "N", words.replace("the virtual board", "BOARD"))


class User:
    """Somebody who wants inferences and, when told that it did not work, plugs in again and retries."""

    def __init__(self, subject: Subject, transport: FaultyTransport | SharedTransport, seed: int) -> None:
        self.tally = Tally()
        self._subject = subject
        self._transport = transport
        self._chance = random.Random(seed)
        self._session: Session | None = None

    def infer(self, index: int) -> None:
        """One inference, into the tally."""
        started_s = self._transport.now_s()
        self.tally.asked += 1
        index %= len(self._subject.inputs)
        try:
            self._session = self._session or self._connect()
            output = self._session.infer(self._subject.inputs[index]).output
        except LinkError as error:
            self.tally.errors[kind_of(error)] += 1
            self._session = None
        else:
            right = output == self._subject.outputs[index]
            self.tally.right += right
            self.tally.wrong += not right
        taken_s = self._transport.now_s() - started_s
        self.tally.longest_s = max(self.tally.longest_s, taken_s)
        self.tally.hangs += taken_s > HANG_S

    def _connect(self) -> Session:
        board = self._transport.board
        while board.pulled:
            board.run(0.1)
        self._transport.set_baud(self._subject.baud)  # as a port that was opened again
        session = Session(self._transport, new_session=lambda: self._chance.randrange(1, 1 << 16))
        session.hello()
        return session


def run_block(subject: Subject, fault: str, inferences: int, seed: int) -> Tally:
    """`inferences` through a line with `fault` to a board of its own; the same seed gives the same tally."""
    line = FaultyBoard(subject.new_board(), CAMPAIGN[fault], seed)
    if fault == TWO_CLIENTS:
        tally = _two_clients(subject, line, inferences, seed)
    else:
        user = User(subject, FaultyTransport(line, subject.baud), seed)
        for index in range(inferences):
            user.infer(index)
        tally = user.tally
    return replace(tally, struck=line.struck)


def _two_clients(subject: Subject, line: FaultyBoard, inferences: int, seed: int) -> Tally:
    """Half of `inferences` each by two users of one port."""
    tallies: list[Tally] = []

    def use(transport: SharedTransport) -> None:
        user = User(subject, transport, seed + len(tallies) + 1)
        tallies.append(user.tally)
        for index in range(inferences // 2):
            user.infer(index)

    run_together(SharedPort(line, subject.baud, 2, seed), [use, use])
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total
