"""The boards that QEMU has too: the same ELF file boots there, proves the model and runs every sample exactly.

An emulator that shares nothing with the virtual board but the facts, and the only one here for the Cortex-M55.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.link.projects import small_model, write_board_project
from support.qemu import qemu

from tinydeploy.boards import load_board
from tinydeploy.reference import run_graph
from tinydeploy.session import Session
from tinydeploy.tflite import read_model
from tinydeploy.transport import SerialTransport
from tinydeploy.verify import verify

pytestmark = pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")


@contextmanager
def port_of(board_name: str, elf: Path) -> Iterator[str]:
    """The pseudo-terminal of UART0 of a machine that runs `elf`."""
    with qemu(board_name, elf, "pty") as process:
        assert process.stdout is not None
        said = process.stdout.readline().decode()
        found = re.search(r"/dev/pts/\d+", said)
        assert found is not None, said
        yield found[0]


@pytest.mark.parametrize("name", ["mps2_an386", "mps2_an500", "mps3_an547"])
def test_the_same_image_runs_exactly_on_qemu(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    project, _ = write_board_project(tmp_path, small_model(), board)
    graph = read_model(small_model(), "small")
    with port_of(name, project.elf) as port:
        session = Session(SerialTransport(port, board.uart.baud))
        info = session.hello()
        assert (info.board, info.core_hz) == (name, board.clock.hclk_hz)
        samples = project.samples().inputs
        assert verify(project, session, samples[:1]).passed
        for sample in samples:
            expected = run_graph(graph, sample)[graph.output]
            assert session.infer(sample.tobytes()).output == np.ascontiguousarray(expected).tobytes()
        session.close()
