"""What a chip's reset and clock controller tells the rest: frequencies, enables, and whether they are legal."""

from __future__ import annotations

from dataclasses import dataclass

MHZ = 1_000_000


@dataclass(frozen=True, slots=True)
class Clocks:
    """Frequencies in Hz as the registers stand; ``hclk_hz`` is the core's. ``source`` is what SYSCLK runs on."""

    source: str
    sysclk_hz: int
    hclk_hz: int
    pclk1_hz: int
    pclk2_hz: int


def ahb_divider(field: int) -> int:
    """HPRE: 0xxx is 1, 1000 to 1011 is 2 to 16, 1100 to 1111 is 64 to 512."""
    return 1 if field < 8 else (2, 4, 8, 16, 64, 128, 256, 512)[field - 8]


def apb_divider(field: int) -> int:
    """PPRE: 0xx is 1, 100 to 111 is 2 to 16."""
    return 1 if field < 4 else 2 << (field - 4)


def timer_hz(clocks: Clocks, on_apb2: bool) -> int:
    """What an STM32's timers count: the APB clock, doubled where the APB's prescaler divides."""
    pclk = clocks.pclk2_hz if on_apb2 else clocks.pclk1_hz
    return 2 * pclk if pclk < clocks.hclk_hz else pclk


def mhz(hz: int) -> str:
    """A frequency for messages."""
    return f"{hz / MHZ:g} MHz"
