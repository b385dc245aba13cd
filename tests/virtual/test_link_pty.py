"""The link through a pseudo-terminal, as any serial program sees the virtual board: a lossy line, a cable pulled."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.link.fault_campaign import Subject, make_subject
from support.link.faults import Faults
from support.link.faulty_board import FaultyBoard

from tinydeploy.errors import LinkError
from tinydeploy.exchange import Timing
from tinydeploy.session import Session
from tinydeploy.transport import SerialTransport
from tinydeploy.virtual.pty import serve

# On a busy machine the emulated board is many times slower than a real one.
PATIENT = Timing(latency_s=0.5, patience_s=60.0, compute_s=60.0)
FAULTS = Faults(flip=2e-4, drop=2e-4, double=2e-4, insert=2e-4, delay=2e-4, garble=2e-4)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject(tmp_path_factory.mktemp("pty"))


@contextmanager
def served(board: FaultyBoard) -> Iterator[str]:
    """The path of a pseudo-terminal that `board` is behind, until the block ends."""
    ports: queue.Queue[str] = queue.Queue()
    stopped = threading.Event()
    thread = threading.Thread(target=serve, args=(board, ports.put, stopped.is_set))  # as the board itself is served
    thread.start()
    try:
        yield ports.get(timeout=60)
    finally:
        stopped.set()
        thread.join()


def test_inferences_through_a_lossy_pseudo_terminal_are_right(subject: Subject) -> None:
    board = FaultyBoard(subject.new_board(), FAULTS, seed=4)
    with served(board) as port:
        session = Session(SerialTransport(port), timing=PATIENT, new_session=itertools.count(1).__next__)
        session.hello()
        for data, output in zip(subject.inputs[:12], subject.outputs, strict=False):
            assert session.infer(data).output == output
        session.close()
    assert board.struck.total() > 0


def test_a_cable_that_was_pulled_is_told_and_the_next_session_works(subject: Subject) -> None:
    """The first session ends without a word, so the board may still be at the higher rate."""
    board = FaultyBoard(subject.new_board(), Faults(), seed=1)
    with served(board) as port:
        session = Session(SerialTransport(port), timing=PATIENT)
        session.hello()
        assert session.infer(subject.inputs[0]).output == subject.outputs[0]
    with pytest.raises(LinkError, match=r"went away while it was in use .*; plug the board in again and retry"):
        session.infer(subject.inputs[1])
    session.close()
    with served(board) as port:
        session = Session(SerialTransport(port), timing=PATIENT)
        session.hello()
        assert session.infer(subject.inputs[2]).output == subject.outputs[2]
        session.close()
