"""The link on the virtual board, byte by byte through each kind of UART: throughput, rates, recovery."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.link.projects import small_model, write_board_project
from support.link.speed import large_input_project, sending_speed

from tinydeploy.boards import Board, load_board
from tinydeploy.project import Project
from tinydeploy.session import Session
from tinydeploy.transport import VirtualTransport
from tinydeploy.virtual import VirtualBoard

# A board of each UART driver.
BOARDS = ("stm32f746", "nucleo_f411re", "nucleo_l4r5zi", "nrf52840_dk", "pico", "mps2_an386")


@pytest.mark.parametrize("name", BOARDS)
def test_sending_inputs_uses_at_least_85_percent_of_the_line(name: str, tmp_path: Path) -> None:
    """At the board's own rate and at the highest that its port takes."""
    board = load_board(name)
    project = large_input_project(tmp_path, board)
    slow = sending_speed(project, board, fast=False)
    fast = sending_speed(project, board, fast=True)
    assert (slow.baud, fast.baud) == (board.uart.baud, board.uart.fast_baud)
    for speed in (slow, fast):
        assert speed.share >= 0.85
        assert speed.repeats == 0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Board, Project]:
    board = load_board("nucleo_f411re")
    return board, write_board_project(tmp_path_factory.mktemp("link"), small_model(), board)[0]


def session_on(board: Board, project: Project) -> tuple[Session, VirtualTransport]:
    transport = VirtualTransport(VirtualBoard(board, project.elf), board.uart.baud)
    return Session(transport, new_session=lambda: 1), transport


def test_a_reset_ends_the_higher_rate_and_the_session_goes_up_again(built: tuple[Board, Project]) -> None:
    board, project = built
    session, transport = session_on(board, project)
    session.hello()
    data = project.samples().inputs[0].tobytes()
    before = session.infer(data).output
    transport.board.reset()
    assert session.infer(data).output == before
    assert transport.baud == board.uart.fast_baud


def test_a_device_that_was_left_at_the_higher_rate_answers_at_its_own(built: tuple[Board, Project]) -> None:
    """What the host sends is garbled bit by bit at first, as on a real line."""
    board, project = built
    session, transport = session_on(board, project)
    session.hello()
    transport.set_baud(board.uart.baud)
    again = Session(transport, new_session=lambda: 2, fast=False)
    assert again.hello().board == board.name
    assert transport.now_s() < 1.5


def test_closing_goes_back_to_the_first_rate(built: tuple[Board, Project]) -> None:
    board, project = built
    session, transport = session_on(board, project)
    session.hello()
    assert transport.baud == board.uart.fast_baud
    session.close()
    again = Session(transport, new_session=lambda: 2, fast=False)
    again.hello()
    assert (transport.baud, again.repeats) == (board.uart.baud, 0)


@pytest.mark.parametrize("name", ["nucleo_f411re", "nrf52840_dk", "pico"])
def test_a_board_answers_after_a_reset_at_any_moment_of_its_start(name: str, tmp_path: Path) -> None:
    """While the crystal starts, too: a second reset then once left the RP2040 waiting for it for good."""
    board = load_board(name)
    project = write_board_project(tmp_path, small_model(), board)[0]
    device = VirtualBoard(board, project.elf)
    for seconds in (1e-5, 1e-4, 3e-4, 1e-3, 3e-3):
        device.run(seconds)
        device.reset()
    assert Session(VirtualTransport(device, board.uart.baud), new_session=lambda: 1).hello()
