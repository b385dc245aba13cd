"""Every board that ships boots the same small model, proves it and measures it on the virtual board."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.link.projects import small_model, write_board_project

from tinydeploy.bench import bench
from tinydeploy.boards import Board, list_boards
from tinydeploy.doctor import ask, device_findings
from tinydeploy.session import Session
from tinydeploy.transport import VirtualTransport
from tinydeploy.verify import verify

pytest.importorskip("unicorn")
from tinydeploy.virtual import VirtualBoard


@pytest.mark.parametrize("board", [board for board in list_boards() if board.core.name != "m55"], ids=lambda b: b.name)
def test_the_board_boots_proves_the_model_and_measures_it(board: Board, tmp_path: Path) -> None:
    project, image = write_board_project(tmp_path, small_model(), board)
    device = VirtualBoard(board, project.elf)
    session = Session(VirtualTransport(device, board.uart.baud), new_session=lambda: 1)
    info = session.hello()
    assert (info.board, info.core_hz, info.baud) == (board.name, board.clock.hclk_hz, board.uart.baud)
    assert device.core_hz == board.clock.hclk_hz
    samples = project.samples().inputs
    assert verify(project, session, samples[:1]).passed
    found = device_findings(ask(session, [board]), [board], project)
    assert {finding.level for finding in found} == {"ok", "note"}, found
    measured = bench(project, session, image, count=2)
    session.close()
    assert measured.exact
    assert measured.instructions is not None
    assert 1_000 < measured.instructions < 200_000
    assert measured.cycles > 0
    assert device.notes == []
