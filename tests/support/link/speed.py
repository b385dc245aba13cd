"""How much of the line sending inputs uses, in virtual time: the same figure on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from support.link.projects import write_board_project
from support.net import Net
from tinydeploy.boards import Board
from tinydeploy.project import Project
from tinydeploy.session import Session
from tinydeploy.transport import VirtualTransport
from tinydeploy.virtual import VirtualBoard


@dataclass(frozen=True, slots=True)
class Speed:
    """At `baud`, sending inputs took ``share`` of what the line could have carried: 10 bits to a byte."""

    baud: int
    share: float
    repeats: int


def large_input_project(folder: Path, board: Board) -> Project:
    """A model whose input, 3,072 bytes, is larger than the device's receive ring."""
    net = Net(seed=5)
    at = net.mean(net.input((1, 32, 32, 3)))
    project, _ = write_board_project(folder, net.done(net.fully_connected(at, 2)), board)
    return project


def sending_speed(project: Project, board: Board, fast: bool) -> Speed:
    """Send an input at the board's own rate, or `fast`, until all of it is acknowledged."""
    transport = VirtualTransport(VirtualBoard(board, project.elf), board.uart.baud)
    session = Session(transport, new_session=lambda: 1, fast=fast)
    session.hello()
    data = project.samples().inputs[0].tobytes()
    started_s, repeats = transport.now_s(), session.repeats  # the first greeting may come before the UART is on
    session.write_input(data)
    taken_s = transport.now_s() - started_s
    return Speed(transport.baud, len(data) * 10 / transport.baud / taken_s, session.repeats - repeats)
