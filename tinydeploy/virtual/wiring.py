"""What is soldered around the chip: the crystal, and which pins reach the virtual COM port."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.boards import Board, load_board
from tinydeploy.cores import CORES, Core
from tinydeploy.errors import BoardError
from tinydeploy.virtual.chips import CHIPS
from tinydeploy.virtual.chips.chip import Chip


@dataclass(frozen=True, slots=True)
class Wiring:
    """``hse_hz``: what the board feeds to the external oscillator, None for nothing. ``tx`` and ``rx``: pins."""

    hse_hz: int | None
    tx: str
    rx: str


_WIRING = {
    # UM1472: X2 8 MHz; no virtual COM port is wired by default, USART2 on PA2 and PA3 is free for an adapter
    "stm32f407_discovery": Wiring(8_000_000, "PA2", "PA3"),
    # UM1724: MCO of the ST-LINK feeds 8 MHz; VCP on PA2 and PA3
    "nucleo_f411re": Wiring(8_000_000, "PA2", "PA3"),
    "nucleo_l476rg": Wiring(None, "PA2", "PA3"),  # UM1724: as above, but MCO is not used here
    "nrf52840_dk": Wiring(32_000_000, "P0.06", "P0.08"),  # nRF52840 DK User Guide: UART of the interface MCU
    # Nano 33 BLE schematic: the header's TX and RX, for an adapter; the USB port is the chip's own
    "nano_33_ble": Wiring(32_000_000, "P1.03", "P1.10"),
    "pico": Wiring(12_000_000, "GP0", "GP1"),  # Pico data sheet: X1; UART0 on pins 1 and 2 of the board
    "pico2": Wiring(12_000_000, "GP0", "GP1"),  # Pico 2 data sheet: the same
    "nucleo_u575zi": Wiring(None, "PA9", "PA10"),  # UM2861: the crystals are not used; VCP on PA9 and PA10
    # UM1974: MCO of the ST-LINK feeds 8 MHz; VCP on PD8 and PD9
    "nucleo_f746zg": Wiring(8_000_000, "PD8", "PD9"),
    "nucleo_f767zi": Wiring(8_000_000, "PD8", "PD9"),
    "nucleo_h743zi": Wiring(8_000_000, "PD8", "PD9"),  # UM2407: the same
    "stm32f746": Wiring(25_000_000, "PA9", "PB7"),  # UM1907: X2; VCP on PA9 and PB7
    "nucleo_l4r5zi": Wiring(None, "PG7", "PG8"),  # UM2179: X3 not fitted, MCO not connected; LPUART1 on PG7, PG8
}

# Boards that tinydeploy does not build for: their chip and wiring.
_FOREIGN = {
    # UM2324: MCO of the ST-LINK feeds 8 MHz to PF0; VCP on PA2 and PA3
    "nucleo_g0b1re": ("STM32G0B1", Wiring(8_000_000, "PA2", "PA3")),
    # UM2408: MCO of the ST-LINK feeds 8 MHz; VCP on PD8 and PD9
    "nucleo_h7a3zi": ("STM32H7A3", Wiring(8_000_000, "PD8", "PD9")),
}
_CRYSTALS = {"nrf52": 32_000_000, "rp2040": 12_000_000, "rp2350": 12_000_000}  # where the chip leaves no choice


def chip_for(board: Board) -> Chip:
    """The chip model of a board, by its part number."""
    for chip in CHIPS:
        if board.part.startswith(chip.part):
            return chip
    known = ", ".join(chip.part for chip in CHIPS)
    raise BoardError(f"the virtual board does not model the {board.part} ({board.name}); it has {known}")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the virtual board needs to know of a board. ``baud``: of the host, until it sets another."""

    name: str
    chip: Chip
    core: Core
    wiring: Wiring
    baud: int


def setup_for(board: Board) -> Setup:
    """Chip and wiring of a described board. Raises BoardError where description and chip disagree."""
    chip = chip_for(board)
    if chip.core_name != board.core.name:
        raise BoardError(f"{board.name}: core is {board.core.name}, but the {chip.title} has an {chip.core_name}")
    return Setup(board.name, chip, board.core, wiring_for(board), board.uart.baud)


def setup_named(name: str) -> Setup:
    """A board by name, or by the path of its description; also the boards that run foreign firmware only."""
    if name not in _FOREIGN:
        return setup_for(load_board(name))
    part, wiring = _FOREIGN[name]
    chip = next(chip for chip in CHIPS if chip.part == part)
    return Setup(name, chip, CORES[chip.core_name], wiring, 115_200)


def wiring_for(board: Board) -> Wiring:
    """The wiring of a known board; of any other board, what its description says."""
    if board.name in _WIRING:
        return _WIRING[board.name]
    hse = board.clock.settings.get("hse_hz") or _CRYSTALS.get(board.family)
    uart = board.uart
    tx, rx = (pin.name if pin else f"{uart.instance}_{signal}" for pin, signal in ((uart.tx, "TX"), (uart.rx, "RX")))
    return Wiring(hse if isinstance(hse, int) else None, tx, rx)
