"""Devices that answer late, as emulated ones do on a busy machine, and programs that use such a port one after the
other: what one has left behind must not hinder the next."""

from __future__ import annotations

import random

import pytest
from support.link.devices import InProcessTransport, expected_output
from support.link.fault_campaign import Subject, make_subject
from support.link.loaded import LoadedPort, LoadedTransport
from support.link.native_board import NativeBoard

from tinydeploy.session import Session


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject(tmp_path_factory.mktemp("late"), native=True)


@pytest.mark.parametrize("slowness", [1, 50])
@pytest.mark.parametrize("seed", range(3))
def test_programs_in_a_row_get_right_results_however_late_the_device_is(
    subject: Subject, slowness: int, seed: int
) -> None:
    """In the host's patience of 5 s such a device lives through 100 ms, and much of it may pass in one stall: requests
    are sent many times, and copies of all of them wait in the terminal when the first is answered, or nobody waits for
    an answer any more. Among them are those that set the rate."""
    board = subject.new_board()
    assert isinstance(board, NativeBoard)
    port = LoadedPort(board, slowness, seed)
    chance = random.Random(seed)
    for _ in range(3):
        session = Session(LoadedTransport(port), new_session=lambda: chance.randrange(1, 1 << 16))
        session.hello()
        for data, output in zip(subject.inputs[:3], subject.outputs, strict=False):
            assert session.infer(data).output == output
        session.close()


def test_a_higher_rate_at_which_a_probe_is_lost_is_left_by_both() -> None:
    """Greetings come through at it, but not the piece of input."""

    class Hole(InProcessTransport):
        def write(self, data: bytes) -> None:
            super().write(data if self.baud == 115_200 or len(data) < 100 else b"")

    transport = Hole()
    session = Session(transport)
    session.hello()
    assert (transport.baud, transport.device_baud) == (115_200, 115_200)
    data = bytes(range(250)) * 12
    assert session.infer(data).output == expected_output(data)
