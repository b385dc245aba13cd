"""What every peripheral is: 32-bit registers by offset, some with a will of their own, reset values."""

from __future__ import annotations

from collections.abc import Callable, Mapping


class SiliconError(Exception):
    """Firmware did something to a peripheral that fails on silicon; the message says what, and what it should do."""


class Peripheral:
    """A register file. Registers without a handler keep what is written; the bus notes them.

    ``base`` is the address of offset 0. ``reset_values`` are the manual's; all others are 0.
    """

    def __init__(self, name: str, base: int, reset_values: Mapping[int, int] | None = None) -> None:
        self.name = name
        self.base = base
        self.registers: dict[int, int] = {}
        self.readers: dict[int, Callable[[], int]] = {}
        self.writers: dict[int, Callable[[int], None]] = {}
        self._reset_values = dict(reset_values or {})
        self.registers.update(self._reset_values)

    def reset(self) -> None:
        """To the values after reset."""
        self.registers.clear()
        self.registers.update(self._reset_values)

    def knows(self, offset: int) -> bool:
        """Is the register at `offset` modelled, if only by its reset value?"""
        return offset in self.readers or offset in self.writers or offset in self._reset_values

    def register_name(self, offset: int) -> str:
        """The register at `offset`, for messages."""
        return f"{self.name}+0x{offset:03x}"

    def read(self, offset: int) -> int:
        """The word at `offset`, a multiple of 4."""
        reader = self.readers.get(offset)
        return reader() if reader is not None else self.registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Write the word at `offset`, a multiple of 4."""
        writer = self.writers.get(offset)
        if writer is not None:
            writer(value)
        else:
            self.registers[offset] = value

    def read_part(self, offset: int, size_bytes: int) -> int:
        """A byte, halfword or word inside a register."""
        word = self.read(offset & ~3)
        return word >> (offset & 3) * 8 & (1 << size_bytes * 8) - 1

    def write_part(self, offset: int, size_bytes: int, value: int) -> None:
        """Write a byte, halfword or word inside a register; the rest of it stays."""
        if size_bytes == 4:
            self.write(offset, value & 0xFFFF_FFFF)
            return
        shift = (offset & 3) * 8
        mask = ((1 << size_bytes * 8) - 1) << shift
        kept = self.registers.get(offset & ~3, 0) & ~mask
        self.write(offset & ~3, kept | (value << shift & mask))
