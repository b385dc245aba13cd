"""bench and verify on the virtual board: the real firmware image, deterministic to the instruction."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.link.projects import small_model, write_board_project

from tinydeploy.bench import bench
from tinydeploy.boards import load_board
from tinydeploy.image import Image
from tinydeploy.project import Project
from tinydeploy.session import Session
from tinydeploy.transport import VirtualTransport
from tinydeploy.verify import verify

pytest.importorskip("unicorn")
from tinydeploy.virtual import VirtualBoard

Built = tuple[Project, Image]


@pytest.fixture(scope="module", params=["stm32f746", "nucleo_l4r5zi"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    board = load_board(request.param)
    return write_board_project(tmp_path_factory.mktemp(board.name), small_model(), board)


@contextmanager
def session_on_board(project: Project, lines: list[str] | None = None) -> Iterator[Session]:
    transport = VirtualTransport(VirtualBoard(load_board(project.board), project.elf))
    session = Session(transport, on_text=None if lines is None else lines.append, new_session=lambda: 1)
    yield session
    session.close()


def test_the_firmware_introduces_itself(built: Built) -> None:
    lines: list[str] = []
    project, _ = built
    board = load_board(project.board)
    with session_on_board(project, lines) as session:
        info = session.hello()
    assert lines == [f"tinydeploy: small on {board.title}, build {project.fingerprint[:16]}\r\n"]
    assert (info.board, info.core_hz, info.baud) == (board.name, board.clock.hclk_hz, board.uart.baud)
    assert info.arena_bytes == project.arena_bytes


def test_bench_counts_instructions_and_cycles(built: Built) -> None:
    project, image = built
    with session_on_board(project) as session:
        result = bench(project, session, image, count=3)
    assert (result.samples, result.exact) == (3, True)
    assert result.instructions is not None
    assert result.instructions < 20 * result.macs
    layers = [(layer.instructions or 0, layer.cycles or 0) for layer in result.per_layer]
    assert all(instructions > 0 and cycles > 0 for instructions, cycles in layers)
    # model_invoke itself only calls its steps.
    assert 0 <= result.instructions - sum(instructions for instructions, _ in layers) < 100
    assert 0 <= result.cycles - sum(cycles for _, cycles in layers) < 300
    assert "estimate" in result.cycle_model
    assert result.flash_bytes == image.model_flash_bytes
    assert result.ram_bytes == image.model_ram_bytes + result.stack_bytes
    assert 0 < result.stack_bytes < 1024


def test_bench_is_deterministic(built: Built) -> None:
    project, image = built
    results = []
    for _ in range(2):
        with session_on_board(project) as session:
            results.append(bench(project, session, image, count=2))
    assert results[0] == results[1]


def test_the_devices_own_counters_agree(built: Built) -> None:
    """The cycle counter and the painted stack, which are all that real hardware has, against the exact counts."""
    project, image = built
    with session_on_board(project) as session:
        counted = bench(project, session, image, count=2)
        own = session.infer(project.samples().inputs[0].tobytes())
    assert abs(own.cycles[0] - counted.cycles) < 60
    assert abs(own.stack_bytes - counted.stack_bytes) <= 48


def test_verify_passes_bit_for_bit(built: Built) -> None:
    project, _ = built
    with session_on_board(project) as session:
        result = verify(project, session, project.samples().inputs[:2])
    assert result.difference is None
    assert result.tensors == 2 * (len(project.steps) + 1)


def test_a_reset_in_the_middle_is_survived(built: Built) -> None:
    project, image = built
    with session_on_board(project) as session:
        session.hello()
        data = project.samples().inputs[0].tobytes()
        before = session.infer(data).output
        transport = session.transport
        assert isinstance(transport, VirtualTransport)
        transport.board.reset()
        assert session.infer(data).output == before
        assert dataclasses.replace(bench(project, session, image, count=1), interrupted=False).exact
