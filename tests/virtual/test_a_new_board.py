"""A board that is not in the list: `tinydeploy board new` describes it, and it boots, proves and measures a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import tinydeploy
from support.link.projects import small_model

from tinydeploy.board_new import new_board
from tinydeploy.boards import board_names, load_board
from tinydeploy.errors import BoardError, UsageError


def test_a_board_with_an_stm32f722_from_its_part_number_to_a_measurement(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(small_model())
    said = tinydeploy("board", "new", "--part", "STM32F722ZE", "--out", "mine.toml", cwd=tmp_path)
    assert (said.code, said.err) == (0, "")
    assert "wrote mine.toml; check every fact" in said.out
    board = load_board(str(tmp_path / "mine.toml"))
    assert board.name not in board_names()
    assert (board.flash.size_bytes, board.ram.size_bytes, board.memory("dtcm").size_bytes) == (
        512 << 10,
        192 << 10,
        64 << 10,
    )
    assert (board.uart.instance, board.uart.irq) == ("USART3", 39)
    build = tinydeploy("build", "--board", "mine.toml", "--model", "model.tflite", "--out", "project", cwd=tmp_path)
    assert build.code == 0, build.err
    verify = tinydeploy("verify", "--project", "project", cwd=tmp_path)
    assert verify.code == 0, verify.err
    bench = tinydeploy("bench", "--project", "project", "--samples", "2", cwd=tmp_path)
    assert bench.code == 0, bench.err
    assert "mine (m7 at 216 MHz)" in bench.out


@pytest.mark.parametrize(
    "part", ["STM32F407VG", "STM32F411RE", "STM32F767ZI", "STM32H743ZI", "STM32L476RG", "STM32L4R5ZI", "STM32U575ZI"]
)
def test_every_family_can_be_described(part: str) -> None:
    """The description has been read back, so every rule of the family holds."""
    assert f'part = "{part}"' in new_board(part)


def test_a_uart_can_be_asked_for() -> None:
    text = new_board("STM32F722ZE", "usart6")
    assert 'instance = "USART6"' in text
    assert 'tx = { port = "C", pin = 6, af = 8 }' in text


def test_what_cannot_be_described_is_said() -> None:
    with pytest.raises(BoardError, match="modm-devices does not know the part 'STM32F999'"):
        new_board("STM32F999")
    with pytest.raises(BoardError, match="no family for the part 'STM32F103C8T6'"):
        new_board("STM32F103C8T6")
    with pytest.raises(UsageError, match="has no USART9; choose --uart USART1 or USART2"):
        new_board("STM32F722ZE", "USART9")
