"""The RP2040's second stage boot loader: 256 bytes, assembled here, with the checksum that the boot ROM asks for.

What it does and why stands in ``firmware_templates/drivers/boot_rp2040.c.j2``. Registers of the SSI are those of the
RP2040 data sheet, "SSI"; encodings are those of the Armv6-M Architecture Reference Manual, chapter A6.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

STAGE_BYTES = 256
_CODE_HALFWORDS = (STAGE_BYTES - 4) // 2

_SSI = 0x1800_0000
_SSI_CTRLR0, _SSI_CTRLR1, _SSI_ENABLE, _SSI_SER, _SSI_BAUDR, _SSI_RX_SAMPLE_DLY, _SSI_SPI_CTRLR0 = (
    0x00, 0x04, 0x08, 0x10, 0x14, 0xF0, 0xF4,
)  # fmt: skip
_PADS_QSPI_SCLK = 0x4002_0004
_SCLK_PAD = 0x21  # 8 mA, fast slew
_CTRLR0 = 1 << 21 | 31 << 16 | 3 << 8  # data on two lines, 32-bit frames, command then read
_SPI_CTRLR0 = 0x3B << 24 | 8 << 11 | 2 << 8 | 6 << 2  # command, 8 wait cycles, 8-bit command, 24-bit address
_VECTORS = 0x1000_0100
_VTOR = 0xE000_ED08


@dataclass(frozen=True, slots=True)
class SecondStage:
    """``lines``: halfwords as C literals, and what they are, in order; ``checksum`` of them all."""

    lines: tuple[tuple[tuple[str, ...], str], ...]
    checksum: int


def checksum(data: bytes) -> int:
    """CRC-32 as the boot ROM computes it: polynomial 0x04C11DB7, all ones first, no reflection, no inversion."""
    value = 0xFFFF_FFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C1_1DB7 if value & 0x8000_0000 else 0)) & 0xFFFF_FFFF
    return value


class _Assembler:
    """A straight line of Thumb instructions with a pool of literals behind it."""

    def __init__(self) -> None:
        self._items: list[tuple[int | None, int, str]] = []  # encoding, or register and literal to be placed
        self._literals: list[int] = []

    def put(self, encoding: int, text: str) -> None:
        """One 16-bit instruction."""
        self._items.append((encoding, 0, text))

    def wide(self, first: int, second: int, text: str) -> None:
        """One 32-bit instruction."""
        self.put(first, text)
        self.put(second, "its second half")

    def load(self, register: int, value: int, text: str) -> None:
        """``ldr register, =value``."""
        if value not in self._literals:
            self._literals.append(value)
        self._items.append((None, register << 32 | value, text))

    def constant(self, register: int, value: int) -> None:
        """``movs register, #value``, 8 bits."""
        self.put(0x2000 | register << 8 | value, f"movs r{register}, #{value}")

    def store(self, register: int, base: int, offset: int, text: str) -> None:
        """``str register, [base, #offset]``, offset below 128."""
        self.put(0x6000 | offset // 4 << 6 | base << 3 | register, f"str r{register}, [r{base}, #{offset}]: {text}")

    def store_indexed(self, register: int, base: int, index: int, text: str) -> None:
        """``str register, [base, index]``."""
        self.put(0x5000 | index << 6 | base << 3 | register, f"str r{register}, [r{base}, r{index}]: {text}")

    def finish(self) -> list[tuple[tuple[int, ...], str]]:
        """The halfwords with their texts; literals last, word-aligned."""
        if len(self._items) % 2:
            self.put(0xBF00, "nop")
        pool = 2 * len(self._items)
        lines: list[tuple[tuple[int, ...], str]] = []
        for index, (encoding, argument, text) in enumerate(self._items):
            if encoding is None:
                register, value = argument >> 32, argument & 0xFFFF_FFFF
                distance = pool + 4 * self._literals.index(value) - (2 * index + 4 & ~3)
                encoding = 0x4800 | register << 8 | distance // 4
                text = f"ldr r{register}, =0x{value:08X}: {text}"
            lines.append(((encoding,), text))
        lines += [((value & 0xFFFF, value >> 16), f"0x{value:08X}") for value in self._literals]
        return lines


def second_stage(flash_divider: int) -> SecondStage:
    """The stage that reads the flash at clk_sys / `flash_divider` (even, 2 to 254)."""
    code = _Assembler()
    code.load(0, _PADS_QSPI_SCLK, "PADS_QSPI.GPIO_QSPI_SCLK")
    code.constant(1, _SCLK_PAD)
    code.store(1, 0, 0, "8 mA, fast")
    code.load(3, _SSI, "SSI")
    code.constant(1, 0)
    code.store(1, 3, _SSI_ENABLE, "SSIENR, off while it is set up")
    code.store(1, 3, _SSI_CTRLR1, "CTRLR1, one frame at a time")
    code.constant(1, flash_divider)
    code.store(1, 3, _SSI_BAUDR, "BAUDR")
    code.load(1, _CTRLR0, "data on two lines, 32-bit frames")
    code.store(1, 3, _SSI_CTRLR0, "CTRLR0")
    code.constant(1, 1)
    code.constant(2, _SSI_RX_SAMPLE_DLY)
    code.store_indexed(1, 3, 2, "RX_SAMPLE_DLY, one cycle of clk_sys later")
    code.load(1, _SPI_CTRLR0, "command 3Bh, 24-bit address, 8 dummy cycles")
    code.constant(2, _SSI_SPI_CTRLR0)
    code.store_indexed(1, 3, 2, "SPI_CTRLR0")
    code.constant(1, 1)
    code.store(1, 3, _SSI_SER, "SER, the one flash")
    code.store(1, 3, _SSI_ENABLE, "SSIENR, on")
    code.load(0, _VECTORS, "the vector table behind this stage")
    code.load(1, _VTOR, "SCB.VTOR")
    code.store(0, 1, 0, "")
    code.put(0x6801, "ldr r1, [r0, #0]: the stack")
    code.put(0x6842, "ldr r2, [r0, #4]: Reset_Handler")
    code.wide(0xF381, 0x8808, "msr msp, r1")
    code.put(0x4710, "bx r2")
    lines = code.finish()
    used = sum(len(halfwords) for halfwords, _ in lines)
    lines += [((0,) * min(8, _CODE_HALFWORDS - at), "-") for at in range(used, _CODE_HALFWORDS, 8)]
    halfwords = [halfword for group, _ in lines for halfword in group]
    image = struct.pack(f"<{_CODE_HALFWORDS}H", *halfwords)
    shown = tuple((tuple(f"0x{value:04X}" for value in group), text.rstrip(": ")) for group, text in lines)
    return SecondStage(shown, checksum(image))
