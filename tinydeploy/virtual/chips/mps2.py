"""Arm MPS2 with the images AN386 (Cortex-M4) and AN500 (Cortex-M7): memories, the APB UARTs, one clock of 25 MHz."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.chips.chip import Chip, Region, Row, UartPlace
from tinydeploy.virtual.clocktree import MHZ, Clocks
from tinydeploy.virtual.peripheral import Peripheral
from tinydeploy.virtual.timeline import Timeline

MIB = 1024 * 1024
_HZ = 25 * MHZ


class FixedClocks:
    """One clock that always runs."""

    def __init__(self, _timeline: Timeline, _hse_hz: int | None, _changed: Callable[[], None]) -> None:
        self.clocks = Clocks("fixed", _HZ, _HZ, _HZ, _HZ)
        self.peripherals: tuple[Peripheral, ...] = ()

    def enabled(self, _register: str, _bit: int) -> bool:
        """Nothing needs enabling."""
        return True

    def uart_clock_hz(self, _name: str) -> int:
        """The one clock."""
        return _HZ

    def pin_powered(self, _port: str, _number: int) -> str | None:
        """All pins are powered."""
        return None

    def reset(self) -> None:
        """Nothing changes."""


def _chip(part: str, core_name: str) -> Chip:
    """AN386 and AN500 "Memory map" and "Interrupts" are alike."""
    return Chip(
        part=part,
        title=part,
        core_name=core_name,
        irq_count=32,
        # The program lies in SSRAM1, which a debugger has filled; it is RAM all the same.
        regions=(
            Region("flash", 0x0000_0000, 4 * MIB, writable=True),
            Region("SSRAM2 and 3", 0x2000_0000, 4 * MIB, writable=True),
        ),
        rows=(
            Row("TIMER0", 0x4000_0000, 0x1000),
            Row("UART0", 0x4000_4000, 0x1000),
            Row("UART1", 0x4000_5000, 0x1000),
            Row("FPGAIO", 0x4002_8000, 0x1000),
            Row("SCC", 0x4002_F000, 0x1000),
        ),
        gpio_ports="",
        gpio_reset={},
        uarts=(
            UartPlace("UART0", 0, kind="cmsdk", tx_irq=1),
            UartPlace("UART1", 2, kind="cmsdk", tx_irq=3),
        ),
        boot_address=0,
        reset_hz=_HZ,
        control=FixedClocks,
        pins="fixed",
    )


MPS2_AN386 = _chip("MPS2-AN386", "m4")
MPS2_AN500 = _chip("MPS2-AN500", "m7")
