"""GPIO ports of the STM32 F7 and L4+ (RM0385 section 6, RM0432 section 8), as far as pins choose their function."""

from __future__ import annotations

from collections.abc import Mapping

from tinydeploy.virtual.peripheral import Peripheral

MODER, OTYPER, OSPEEDR, PUPDR, IDR, ODR, BSRR, LCKR, AFRL, AFRH, BRR, ASCR = range(0, 0x30, 4)
_MODES = ("input", "output", "alternate function", "analog")
_ALTERNATE = 2


class Gpio(Peripheral):
    """One port. Pins not driven read what their pull resistor says, 0 without one."""

    def __init__(self, port: str, base: int, reset_values: Mapping[int, int]) -> None:
        values = dict.fromkeys((MODER, OTYPER, OSPEEDR, PUPDR, IDR, ODR, BSRR, LCKR, AFRL, AFRH, BRR), 0)
        super().__init__(f"GPIO{port}", base, values | dict(reset_values))
        self.port = port
        self.readers = {IDR: self._read_idr, BSRR: lambda: 0, BRR: lambda: 0}
        self.writers = {BSRR: self._write_bsrr, BRR: self._write_brr, IDR: lambda _value: None}

    def mode(self, pin: int) -> str:
        """Input, output, alternate function with its number, or analog, in words."""
        mode = self.registers[MODER] >> 2 * pin & 3
        return f"alternate function {self._function(pin)}" if mode == _ALTERNATE else _MODES[mode]

    def alternate(self, pin: int) -> int | None:
        """The alternate function of a pin, if that is its mode."""
        return self._function(pin) if self.registers[MODER] >> 2 * pin & 3 == _ALTERNATE else None

    def _function(self, pin: int) -> int:
        return self.registers[AFRL if pin < 8 else AFRH] >> 4 * (pin % 8) & 0xF

    def _read_idr(self) -> int:
        value = 0
        for pin in range(16):
            if self.registers[MODER] >> 2 * pin & 3 == 1:
                value |= self.registers[ODR] & 1 << pin
            elif self.registers[PUPDR] >> 2 * pin & 3 == 1:
                value |= 1 << pin
        return value

    def _write_bsrr(self, value: int) -> None:
        self.registers[ODR] = (self.registers[ODR] & ~(value >> 16) | value) & 0xFFFF

    def _write_brr(self, value: int) -> None:
        self.registers[ODR] &= ~value & 0xFFFF
