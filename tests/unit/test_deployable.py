"""A network is refused before it is trained where the whole firmware would not fit, not its weights alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tinydeploy.arithmetic import estimate
from tinydeploy.boards import Board, load_board
from tinydeploy.deployable import require_deployable
from tinydeploy.errors import FitError
from tinydeploy.zoo import ModelSpec

SPEC = ModelSpec("mobilenet_v1", 0.1, 32, 1, 10)
BOARD = load_board("nucleo_f411re")


def with_flash(size_bytes: int) -> Board:
    memories = (
        replace(memory, size_bytes=size_bytes) if memory == BOARD.flash else memory for memory in BOARD.memories
    )
    return replace(BOARD, memories=tuple(memories))


def test_flash_must_hold_code_and_firmware_beside_the_constants() -> None:
    needed = estimate(SPEC, BOARD)
    require_deployable(SPEC, with_flash(needed.firmware_flash_bytes))
    assert needed.constants_bytes < needed.flash_bytes < needed.firmware_flash_bytes
    for short in (needed.firmware_flash_bytes - 1, needed.flash_bytes):
        with pytest.raises(FitError, match=f"needs {needed.firmware_flash_bytes:,} B of flash, nucleo_f411re has"):
            require_deployable(SPEC, with_flash(short))
