"""What every chip description offers to the board."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tinydeploy.virtual.bus import Slot
from tinydeploy.virtual.clocktree import Clocks
from tinydeploy.virtual.peripheral import Peripheral
from tinydeploy.virtual.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Region:
    """Memory at `address`. `alias_of` names the region whose bytes it shows, from `alias_offset` on."""

    name: str
    address: int
    size_bytes: int
    writable: bool
    alias_of: str | None = None
    alias_offset: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A peripheral in the memory map: name, address, size, and its clock enable bit (register name, bit)."""

    name: str
    base: int
    size_bytes: int = 0x400
    enable_register: str = ""
    enable_bit: int | None = None


@dataclass(frozen=True, slots=True)
class UartPlace:
    """A UART of the chip: which interrupt, which pins can carry it, with FIFO (L4+) or not, LPUART's divider or not.

    ``pins``: (signal "TX" or "RX", port, number, alternate function). ``kind`` names its model (``virtual/uarts.py``);
    ``tx_irq`` is the interrupt of the transmitter where it has one of its own.
    """

    name: str
    irq: int
    low_power: bool = False
    fifo: bool = False
    pins: tuple[tuple[str, str, int, int], ...] = ()
    kind: str = "usart_v2"
    tx_irq: int | None = None


def uart(
    name: str,
    irq: int,
    function: int,
    *,
    tx: str,
    rx: str,
    fifo: bool = False,
    low_power: bool = False,
    kind: str = "usart_v2",
) -> UartPlace:
    """A UART whose pins, such as "A9 B6", all carry it as the same alternate function."""
    places = [("TX", pin) for pin in tx.split()] + [("RX", pin) for pin in rx.split()]
    pins = tuple((signal, pin[0], int(pin[1:]), function) for signal, pin in places)
    return UartPlace(name, irq, low_power, fifo, pins, kind)


@dataclass(frozen=True, slots=True)
class TimerPlace:
    """A timer of the chip and its interrupt (that of updates and compares alike). ``bits``: of its counter."""

    name: str
    irq: int
    bits: int = 16


class ClockControl(Protocol):
    """RCC, PWR and FLASH of a family: peripherals, the clocks that follow, the enable bits."""

    @property
    def peripherals(self) -> tuple[Peripheral, ...]:
        """The register files: RCC, PWR, FLASH."""

    @property
    def clocks(self) -> Clocks:
        """Frequencies now."""

    def enabled(self, register: str, bit: int) -> bool:
        """Is an enable bit set?"""

    def uart_clock_hz(self, name: str) -> int:
        """The kernel clock of a UART; 0 when it is not running."""

    def pin_powered(self, port: str, number: int) -> str | None:
        """None, or why the pin is dead."""

    def reset(self) -> None:
        """To the state after reset."""


class BootError(Exception):
    """The boot ROM does not start what is in the flash; the message says why."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a boot ROM leaves: stack pointer, program counter (bit 0 set), and what it has copied to RAM."""

    sp: int
    pc: int
    copies: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip. ``part`` is what its part numbers begin with; ``boot_address`` is where VTOR points after reset.

    ``off``: why a peripheral does not answer while its enable bit (``{register}``, ``{bit}``) is clear, and what to do.
    ``boot``: what the boot ROM makes of the flash, for a chip that does not start at the vector table by itself.
    ``pins`` names the model of its pins (``virtual/pins.py``).
    """

    part: str
    title: str
    core_name: str
    irq_count: int
    regions: tuple[Region, ...]
    rows: tuple[Row, ...]
    gpio_ports: str
    gpio_reset: Mapping[str, Mapping[int, int]]
    uarts: tuple[UartPlace, ...]
    boot_address: int
    reset_hz: int
    control: Callable[[Timeline, int | None, Callable[[], None]], ClockControl]
    pins: str = "stm32"
    boot: Callable[[bytes], Start] | None = None
    timers: tuple[TimerPlace, ...] = ()
    off: str = "its clock is off; set RCC_{register} bit {bit} first"

    @property
    def flash(self) -> Region:
        """Where programs are loaded."""
        return next(region for region in self.regions if region.name == "flash")


def slot(chip: Chip, row: Row, peripheral: Peripheral) -> Slot:
    """The bus slot of a row, served by `peripheral`."""
    off = chip.off.format(register=row.enable_register, bit=row.enable_bit)
    return Slot(peripheral, row.size_bytes, row.enable_register, row.enable_bit, off)
