"""What is soldered around the chip: the crystal, and which pins reach the virtual COM port."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.boards import Board
from tinydeploy.errors import BoardError
from tinydeploy.virtual.chips.chip import Chip
from tinydeploy.virtual.chips.stm32f7 import STM32F746
from tinydeploy.virtual.chips.stm32l4plus import STM32L4R5

CHIPS = {chip.family: chip for chip in (STM32F746, STM32L4R5)}


@dataclass(frozen=True, slots=True)
class Wiring:
    """``hse_hz``: what the board feeds to HSE, None for nothing. ``tx`` and ``rx``: the chip's port and pin."""

    hse_hz: int | None
    tx: tuple[str, int]
    rx: tuple[str, int]


_WIRING = {
    "stm32f746": Wiring(25_000_000, ("A", 9), ("B", 7)),  # UM1907: X2; VCP on PA9 and PB7
    "nucleo_l4r5zi": Wiring(None, ("G", 7), ("G", 8)),  # UM2179: X3 not fitted, MCO not connected; LPUART1 on PG7, PG8
}


def chip_for(board: Board) -> Chip:
    """The chip model of a board."""
    if board.family not in CHIPS:
        raise BoardError(f"the virtual board does not model {board.family} ({board.name}); it has {', '.join(CHIPS)}")
    return CHIPS[board.family]


def wiring_for(board: Board) -> Wiring:
    """The wiring of a known board; of any other board, what its description says."""
    if board.name in _WIRING:
        return _WIRING[board.name]
    hse = board.clock.settings.get("hse_hz")
    uart = board.uart
    return Wiring(hse if isinstance(hse, int) else None, (uart.tx.port, uart.tx.number), (uart.rx.port, uart.rx.number))
