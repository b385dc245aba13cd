"""RP2040 and RP2350 (their data sheets): memory maps, resets, UARTs, and what their boot ROMs ask of the flash."""

from __future__ import annotations

import struct
from typing import Any

from tinydeploy.virtual.chips.chip import BootError, Chip, Region, Row, Start, UartPlace
from tinydeploy.virtual.chips.rp2_clock import Rp2Clocks, Rp2Layout
from tinydeploy.virtual.clocktree import MHZ

KIB = 1024
_OFF = "it is held in reset; clear bit {bit} of RESETS.{register} and wait for RESET_DONE first"
_FLASH = 0x1000_0000
_STAGE_AT = 0x2004_1F00  # RP2040 data sheet "Bootrom": where the second stage is copied and run
_CRC_POLYNOMIAL = 0x04C1_1DB7


class Rp2040Clocks(Rp2Clocks):
    """The RP2040's."""

    layout = Rp2Layout(
        resets=0x4000_C000, clocks=0x4000_8000, xosc=0x4002_4000, pll_sys=0x4002_8000, ssi=0x1800_0000,
        reset_bits=0x1FF_FFFF, released_by_rom=1 << 6 | 1 << 9 | 1 << 18 | 1 << 19, pll_bit=12, top_hz=133 * MHZ,
        ring_hz=6 * MHZ,
    )  # fmt: skip


class Rp2350Clocks(Rp2Clocks):
    """The RP2350's; its boot ROM has set up the flash already."""

    layout = Rp2Layout(
        resets=0x4002_0000, clocks=0x4001_0000, xosc=0x4004_8000, pll_sys=0x4005_0000, ssi=None,
        reset_bits=0x1FFF_FFFF, released_by_rom=1 << 7 | 1 << 10 | 1 << 20 | 1 << 21, pll_bit=14, top_hz=150 * MHZ,
        ring_hz=11 * MHZ,
    )  # fmt: skip


def _uarts(irq: int) -> tuple[UartPlace, ...]:
    """Function 2 of the pins, by the data sheets' tables of functions."""
    pins = tuple(
        (signal, "GP", pin, 2)
        for signal, numbers in (("TX", (0, 12, 16, 28)), ("RX", (1, 13, 17, 29)))
        for pin in numbers
    )
    return (UartPlace("UART0", irq, pins=pins, kind="pl011"),)


def _crc(data: bytes) -> int:
    value = 0xFFFF_FFFF
    for byte in data:
        for bit in range(7, -1, -1):
            top = (value >> 31) ^ (byte >> bit & 1)
            value = value << 1 & 0xFFFF_FFFF
            if top:
                value ^= _CRC_POLYNOMIAL
    return value


def _boot_rp2040(flash: bytes) -> Start:
    """RP2040 data sheet "Bootrom": checksum, copy, run with LR clear."""
    stage, (found,) = flash[:252], struct.unpack("<I", flash[252:256])
    wanted = _crc(stage)
    if found != wanted:
        raise BootError(
            f"the boot ROM finds the checksum 0x{found:08x} in the second stage, and 0x{wanted:08x} would be right; it "
            "waits for a program on USB"
        )
    return Start(_STAGE_AT, _STAGE_AT | 1, ((_STAGE_AT, flash[:256]),))


def _boot_rp2350(flash: bytes) -> Start:
    """RP2350 data sheet "Bootrom", "Minimum viable image metadata": a block in the first 4 KiB."""
    words = struct.unpack("<1024I", flash[:4096])
    for at, word in enumerate(words[:-4]):
        if word == 0xFFFF_DED3 and words[at + 1 : at + 5] == (0x1021_0142, 0x1FF, 0, 0xAB12_3579):
            return Start(words[0], words[1], ())
    raise BootError(
        "the boot ROM finds no image definition (0xffffded3 ... 0xab123579) for its Arm cores in the first 4 KiB of "
        "the flash; it waits for a program on USB"
    )


def _rows(blocks: dict[str, tuple[int, int | None]]) -> tuple[Row, ...]:
    return tuple(
        Row(name, base, 0x1000, "RESET" if bit is not None else "", bit) for name, (base, bit) in blocks.items()
    )


# Data sheet "Address map"; bits of RESETS.RESET.
_RP2040_BLOCKS: dict[str, tuple[int, int | None]] = {
    "SSI": (0x1800_0000, None), "CLOCKS": (0x4000_8000, None), "RESETS": (0x4000_C000, None),
    "IO_BANK0": (0x4001_4000, 5), "PADS_BANK0": (0x4001_C000, 8), "PADS_QSPI": (0x4002_0000, 9),
    "XOSC": (0x4002_4000, None), "PLL_SYS": (0x4002_8000, 12), "UART0": (0x4003_4000, 22), "UART1": (0x4003_8000, 23),
    "TIMER": (0x4005_4000, 21), "WATCHDOG": (0x4005_8000, None), "SIO": (0xD000_0000, None),
}  # fmt: skip
# Data sheet "Address map"; bits of RESETS.RESET.
_RP2350_BLOCKS: dict[str, tuple[int, int | None]] = {
    "CLOCKS": (0x4001_0000, None), "RESETS": (0x4002_0000, None), "IO_BANK0": (0x4002_8000, 6),
    "PADS_BANK0": (0x4003_8000, 9), "XOSC": (0x4004_8000, None), "PLL_SYS": (0x4005_0000, 14),
    "UART0": (0x4007_0000, 26), "UART1": (0x4007_8000, 27), "TIMER0": (0x400B_0000, 23),
    "XIP_QMI": (0x400D_0000, None), "WATCHDOG": (0x400D_8000, None), "SIO": (0xD000_0000, None),
}  # fmt: skip


def _chip(part: str, core_name: str, kib: tuple[int, int, int], irq_count: int, **its_own: Any) -> Chip:
    """`kib`: ROM, flash of the board, SRAM."""
    return Chip(
        part=part,
        title=part,
        core_name=core_name,
        irq_count=irq_count,
        regions=(
            Region("ROM", 0x0000_0000, kib[0] * KIB, writable=False),
            Region("flash", _FLASH, kib[1] * KIB, writable=False),
            Region("SRAM", 0x2000_0000, kib[2] * KIB, writable=True),
        ),
        gpio_ports="",
        pins="rp2",
        off=_OFF,
        **its_own,
    )


RP2040 = _chip(
    "RP2040",
    "m0plus",
    (16, 2048, 264),
    32,  # the core's lines; 26 are in use
    rows=_rows(_RP2040_BLOCKS),
    gpio_reset={"GP": {0: 0x56}},
    uarts=_uarts(20),
    boot_address=_FLASH + 0x100,
    reset_hz=Rp2040Clocks.layout.ring_hz,
    control=Rp2040Clocks,
    boot=_boot_rp2040,
)
RP2350 = _chip(
    "RP2350",
    "m33",
    (32, 4096, 520),
    52,
    rows=_rows(_RP2350_BLOCKS),
    gpio_reset={"GP": {0: 0x116}},
    uarts=_uarts(33),
    boot_address=_FLASH,
    reset_hz=Rp2350Clocks.layout.ring_hz,
    control=Rp2350Clocks,
    boot=_boot_rp2350,
)
