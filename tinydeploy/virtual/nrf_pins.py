"""Pins of the nRF52 (Product Specification, "GPIO"): a peripheral chooses its pins, the port sets their direction."""

from __future__ import annotations

from tinydeploy.virtual.chips.chip import UartPlace
from tinydeploy.virtual.nrf_uart import PSEL_RXD, PSEL_TXD
from tinydeploy.virtual.peripheral import Peripheral
from tinydeploy.virtual.pins import Around

OUT, OUTSET, OUTCLR, IN, DIR, DIRSET, DIRCLR, PIN_CNF = 0x504, 0x508, 0x50C, 0x510, 0x514, 0x518, 0x51C, 0x700
_INPUT_OFF = 2  # PIN_CNF after reset: input, its buffer disconnected


class NrfGpio(Peripheral):
    """One port. DIR and bit 0 of PIN_CNF are the same bit."""

    def __init__(self, name: str, base: int) -> None:
        known = dict.fromkeys((OUT, OUTSET, OUTCLR, IN, DIR, DIRSET, DIRCLR), 0)
        super().__init__(name, base, known | {PIN_CNF + 4 * pin: _INPUT_OFF for pin in range(32)})
        registers = self.registers
        self.writers = {
            OUTSET: lambda value: registers.update({OUT: registers[OUT] | value}),
            OUTCLR: lambda value: registers.update({OUT: registers[OUT] & ~value}),
            DIRSET: lambda value: self._set_directions(registers[DIR] | value),
            DIRCLR: lambda value: self._set_directions(registers[DIR] & ~value),
            DIR: self._set_directions,
        }
        self.readers = {OUTSET: lambda: registers[OUT], OUTCLR: lambda: registers[OUT]}
        for pin in range(32):
            self.writers[PIN_CNF + 4 * pin] = lambda value, pin=pin: self._configure(pin, value)  # type: ignore[misc]

    def _set_directions(self, value: int) -> None:
        self.registers[DIR] = value
        for pin in range(32):
            at = PIN_CNF + 4 * pin
            self.registers[at] = self.registers[at] & ~1 | value >> pin & 1

    def _configure(self, pin: int, value: int) -> None:
        self.registers[PIN_CNF + 4 * pin] = value
        self.registers[DIR] = self.registers[DIR] & ~(1 << pin) | (value & 1) << pin

    def problem(self, pin: int, signal: str) -> str | None:
        """None, or why the pin cannot carry a UART's "TX" or "RX"."""
        configured = self.registers[PIN_CNF + 4 * pin]
        if signal == "TX":
            if not configured & 1:
                return "is an input; make it an output in PIN_CNF before the UART is enabled"
            return (
                None if self.registers[OUT] >> pin & 1 else "is driven low; set it in OUT first, a low line is a break"
            )
        return "has its input buffer off or is an output; connect it in PIN_CNF" if configured & 3 else None


class NrfPins:
    """PSEL of the UARTs and PIN_CNF of the ports."""

    def __init__(self, around: Around) -> None:
        self._uarts = around.uarts
        self._ports = (NrfGpio("P0", 0x5000_0000), NrfGpio("P1", 0x5000_0300))

    @property
    def peripherals(self) -> tuple[Peripheral, ...]:
        """P0 and P1."""
        return self._ports

    def _selected(self, place: UartPlace, signal: str) -> tuple[int, int] | None:
        value = self._uarts[place.name].registers[PSEL_TXD if signal == "TX" else PSEL_RXD]
        return None if value >> 31 else (value >> 5 & 1, value & 31)

    def possible(self, place: UartPlace, signal: str) -> tuple[str, ...]:
        """The pin that the UART has chosen: it could choose any."""
        selected = self._selected(place, signal)
        return () if selected is None else (f"P{selected[0]}.{selected[1]:02}",)

    def carrying(self, place: UartPlace, signal: str) -> list[str]:
        """The pin that the UART has chosen, if the port lets it."""
        selected = self._selected(place, signal)
        if selected is None or self._ports[selected[0]].problem(selected[1], signal) is not None:
            return []
        return list(self.possible(place, signal))

    def why_none(self, place: UartPlace, signal: str) -> str:
        """Not chosen, or what the port is set to."""
        selected = self._selected(place, signal)
        if selected is None:
            return f"(PSEL.{signal}D is not connected)"
        problem = self._ports[selected[0]].problem(selected[1], signal)
        return f"(PSEL.{signal}D): P{selected[0]}.{selected[1]:02} {problem}"
