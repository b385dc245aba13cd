"""How pins reach UARTs: which pin carries a signal now, and why none does. One class per way that chips do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tinydeploy.virtual.chips.chip import Chip, ClockControl, UartPlace
from tinydeploy.virtual.gpio import Gpio
from tinydeploy.virtual.peripheral import Peripheral


class Pins(Protocol):
    """The pins of one chip, by the names that its manual gives them (PA9)."""

    @property
    def peripherals(self) -> tuple[Peripheral, ...]:
        """The register files."""

    def possible(self, place: UartPlace, signal: str) -> tuple[str, ...]:
        """The pins that could carry a UART's "TX" or "RX"."""

    def carrying(self, place: UartPlace, signal: str) -> list[str]:
        """The pins that carry it now."""

    def why_none(self, place: UartPlace, signal: str) -> str:
        """What keeps each possible pin from carrying it."""


@dataclass(frozen=True, slots=True)
class Around:
    """What pins depend on: the chip, its clocks, its UARTs by name. ``clocked(port)``: is the port's clock on?"""

    chip: Chip
    clocks: ClockControl
    clocked: Callable[[str], bool]
    uarts: Mapping[str, Peripheral]


class FixedPins:
    """Signals with pins of their own."""

    def __init__(self, _around: Around) -> None:
        self.peripherals: tuple[Peripheral, ...] = ()

    def possible(self, place: UartPlace, signal: str) -> tuple[str, ...]:
        """The signal's own pin."""
        return (f"{place.name}_{signal}",)

    def carrying(self, place: UartPlace, signal: str) -> list[str]:
        """Always."""
        return list(self.possible(place, signal))

    def why_none(self, place: UartPlace, signal: str) -> str:
        """Never asked: the pin always carries its signal."""
        raise AssertionError(f"{place.name}_{signal} is not connected")


class Stm32Pins:
    """MODER and AFR of the GPIO ports."""

    def __init__(self, around: Around) -> None:
        chip = around.chip
        self._clocks = around.clocks
        self._clocked = around.clocked
        rows = {row.name: row for row in chip.rows}
        self.gpio: Mapping[str, Gpio] = {
            port: Gpio(port, rows[f"GPIO{port}"].base, chip.gpio_reset.get(port, {})) for port in chip.gpio_ports
        }

    @property
    def peripherals(self) -> tuple[Peripheral, ...]:
        """GPIOA and on."""
        return tuple(self.gpio.values())

    def possible(self, place: UartPlace, signal: str) -> tuple[str, ...]:
        """By the alternate functions of the data sheet."""
        return tuple(f"P{port}{number}" for kind, port, number, _ in place.pins if kind == signal)

    def carrying(self, place: UartPlace, signal: str) -> list[str]:
        """In the mode, with the function, powered."""
        return [
            f"P{port}{number}"
            for kind, port, number, function in place.pins
            if kind == signal
            and self.gpio[port].alternate(number) == function
            and self._clocks.pin_powered(port, number) is None
        ]

    def why_none(self, place: UartPlace, signal: str) -> str:
        """Pin by pin: not powered, another mode, no clock."""
        reasons = []
        for kind, port, number, function in place.pins:
            if kind != signal:
                continue
            dead = self._clocks.pin_powered(port, number)
            if self.gpio[port].alternate(number) == function and dead is not None:
                reasons.append(f"P{port}{number}: {dead}")
            elif self._clocked(port):
                reasons.append(f"P{port}{number} is in mode {self.gpio[port].mode(number)}, not {function}")
            else:
                reasons.append(f"P{port}{number} has no clock")
        return f"(alternate function): {'; '.join(reasons)}"
