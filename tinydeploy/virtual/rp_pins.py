"""Pins of the RP2040 and RP2350: a function per pin in IO_BANK0, and the pad's own switches in PADS_BANK0."""

from __future__ import annotations

from tinydeploy.virtual.chips.chip import UartPlace
from tinydeploy.virtual.peripheral import Peripheral
from tinydeploy.virtual.pins import Around

_PINS = 30
_FUNCTION_NONE = 31
_ISO, _OUTPUT_DISABLE, _INPUT_ENABLE = 1 << 8, 1 << 7, 1 << 6


class RpPins:
    """FUNCSEL and pads. ``pins`` of the chip's UARTs have port "GP" and the function as alternate function."""

    def __init__(self, around: Around) -> None:
        chip = around.chip
        self._clocks = around.clocks
        rows = {row.name: row for row in chip.rows}
        self._rows = rows
        pad = chip.gpio_reset["GP"][0]
        self._pads = Peripheral(
            "PADS_BANK0", rows["PADS_BANK0"].base, {4 + 4 * pin: pad for pin in range(_PINS)} | {0: 0}
        )
        functions = {4 + 8 * pin: _FUNCTION_NONE for pin in range(_PINS)}
        self._io = Peripheral("IO_BANK0", rows["IO_BANK0"].base, functions | {8 * pin: 0 for pin in range(_PINS)})

    @property
    def peripherals(self) -> tuple[Peripheral, ...]:
        """PADS_BANK0 and IO_BANK0."""
        return self._pads, self._io

    def possible(self, place: UartPlace, signal: str) -> tuple[str, ...]:
        """By the data sheet's table of functions."""
        return tuple(f"GP{number}" for kind, _, number, _ in place.pins if kind == signal)

    def _problem(self, number: int, function: int, signal: str) -> str | None:
        for name in ("IO_BANK0", "PADS_BANK0"):
            row = self._rows[name]
            if row.enable_bit is not None and not self._clocks.enabled(row.enable_register, row.enable_bit):
                return f"{name} is held in reset"
        chosen, pad = self._io.registers[4 + 8 * number] & 31, self._pads.registers[4 + 4 * number]
        if chosen != function:
            return f"has function {chosen}, not {function}"
        if pad & _ISO:
            return "is isolated; clear ISO in PADS_BANK0"
        if signal == "TX":
            return "has its output disabled in PADS_BANK0 (OD)" if pad & _OUTPUT_DISABLE else None
        return None if pad & _INPUT_ENABLE else "has its input disabled in PADS_BANK0 (IE)"

    def carrying(self, place: UartPlace, signal: str) -> list[str]:
        """With the function chosen and the pad switched on."""
        return [
            f"GP{number}"
            for kind, _, number, function in place.pins
            if kind == signal and self._problem(number, function, signal) is None
        ]

    def why_none(self, place: UartPlace, signal: str) -> str:
        """Pin by pin."""
        reasons = [
            f"GP{number} {self._problem(number, function, signal)}"
            for kind, _, number, function in place.pins
            if kind == signal
        ]
        return f"(FUNCSEL): {'; '.join(reasons)}"
