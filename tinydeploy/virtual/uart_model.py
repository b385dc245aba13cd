"""What all UARTs share: how they are wired to the chip, a shift register out, frames in."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tinydeploy.virtual.chips.chip import UartPlace
from tinydeploy.virtual.line import EIGHT_N_ONE, Format, transfer
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import PS_PER_SECOND, Event, Timeline


class SetLine(Protocol):
    """Drives an interrupt: that of the transmitter, where it has one of its own, or the only one."""

    def __call__(self, level: bool, transmit: bool = False) -> None:
        """Level-sensitive."""


@dataclass(frozen=True, slots=True)
class UartWiring:
    """A UART's place in the chip.

    `kernel_hz()`: its clock. `set_line(level)`: its interrupt. `pin(signal)`: None when a pin carries "TX" or "RX",
    else why none does. `emit(value, format, baud)`: a frame has left the transmitter.
    """

    place: UartPlace
    base: int
    timeline: Timeline
    kernel_hz: Callable[[], int]
    set_line: SetLine
    pin: Callable[[str], str | None]
    emit: Callable[[int, Format, float], None]


class UartModel(Peripheral):
    """A UART without its registers, for 8 data bits, no parity and 1 stop bit unless a child's ``format`` says other.

    A child says what ``receiving`` and ``baud`` are and what happens when a byte has ``arrived`` or was ``sent``.
    """

    def __init__(self, wiring: UartWiring, reset_values: Mapping[int, int]) -> None:
        super().__init__(wiring.place.name, wiring.base, reset_values)
        self.wiring = wiring
        self._shifting: Event | None = None

    def reset(self) -> None:
        """Registers as after reset, nothing on its way."""
        super().reset()
        self.stop_shifting()

    @property
    def receiving(self) -> bool:
        """The receiver is on."""
        raise NotImplementedError

    @property
    def baud(self) -> float:
        """The baud rate that the registers make; SiliconError when they make none."""
        raise NotImplementedError

    @property
    def format(self) -> Format:
        """The frame format that the registers make."""
        return EIGHT_N_ONE

    def arrived(self, byte: int, framing_error: bool) -> None:
        """A byte is in."""
        raise NotImplementedError

    def sent(self) -> None:
        """The shift register is empty."""
        raise NotImplementedError

    @property
    def shifting(self) -> bool:
        """A frame is on the line."""
        return self._shifting is not None

    @property
    def frame_ps(self) -> int:
        """The time that a frame takes."""
        return int(self.format.frame_bits * PS_PER_SECOND / self.baud)

    def take_frame(self, value: int, sent: Format, line_baud: float) -> None:
        """A frame has arrived on the line; garbled when the firmware's baud rate or format is another.

        A slower one may look like several, which come one after the other.
        """
        self._check_pin("RX")
        for index, item in enumerate(transfer(value, sent, line_baud, self.format, self.baud)):
            if index == 0:
                self.arrived(item.byte, item.framing_error)
            else:
                later = functools.partial(self.arrived, item.byte, item.framing_error)
                self.wiring.timeline.schedule(index * self.frame_ps, later)

    def shift(self, value: int) -> None:
        """Send a byte; `sent` follows a frame later."""
        self._check_pin("TX")
        form, baud = self.format, self.baud

        def done() -> None:
            self._shifting = None
            self.wiring.emit(value, form, baud)
            self.sent()

        self._shifting = self.wiring.timeline.schedule(self.frame_ps, done)

    def stop_shifting(self) -> None:
        """What is on the line is lost."""
        if self._shifting is not None:
            self._shifting.cancelled = True
        self._shifting = None

    def _check_pin(self, signal: str) -> None:
        reason = self.wiring.pin(signal)
        if reason is not None:
            raise SiliconError(reason)
