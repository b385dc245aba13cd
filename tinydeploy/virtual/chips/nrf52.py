"""nRF52840 (Product Specification v1.1): memory map, CLOCK, NVMC, UART0 and the ports.

The core always runs at 64 MHz; what changes is whether a crystal or an RC oscillator keeps its time.
"""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.chips.chip import Chip, Region, Row, UartPlace
from tinydeploy.virtual.clocktree import MHZ, Clocks
from tinydeploy.virtual.oscillators import Oscillators
from tinydeploy.virtual.peripheral import Peripheral
from tinydeploy.virtual.timeline import Timeline

KIB = 1024
CORE_HZ = 64 * MHZ
HFCLKSTART, HFCLKSTOP, HFCLKSTARTED, HFCLKRUN, HFCLKSTAT = 0x000, 0x004, 0x100, 0x408, 0x40C
_STARTUP_US = {"HFXO": 360, "HFINT": 0}


class Nrf52Clocks:
    """CLOCK. `hse_hz` is the crystal that the board has (None: nothing)."""

    def __init__(self, timeline: Timeline, hse_hz: int | None, changed: Callable[[], None]) -> None:
        self._crystal = hse_hz is not None
        self._notify = changed
        self._oscillators = Oscillators(timeline, _STARTUP_US, self._started)
        known = dict.fromkeys((HFCLKSTART, HFCLKSTOP, HFCLKSTARTED, 0x104, 0x304, 0x308, HFCLKRUN, HFCLKSTAT), 0)
        self.clock = Peripheral("CLOCK", 0x4000_0000, known)
        self.nvmc = Peripheral("NVMC", 0x4001_E000, {0x400: 1, 0x408: 1, 0x504: 0, 0x540: 0})
        self.clock.readers = {HFCLKSTAT: self._status}
        self.clock.writers = {
            HFCLKSTART: lambda _value: self._oscillators.switch("HFXO", self._crystal),
            HFCLKSTOP: lambda _value: self._oscillators.switch("HFXO", False),
            HFCLKSTAT: lambda _value: None,
        }
        self.reset()

    @property
    def peripherals(self) -> tuple[Peripheral, ...]:
        """CLOCK and NVMC."""
        return self.clock, self.nvmc

    def reset(self) -> None:
        """The RC oscillator runs."""
        for peripheral in self.peripherals:
            peripheral.reset()
        self._oscillators.reset("HFINT")

    @property
    def clocks(self) -> Clocks:
        """64 MHz, and 16 MHz for the peripherals."""
        source = "HFXO" if self._oscillators.is_ready("HFXO") else "HFINT"
        return Clocks(source, CORE_HZ, CORE_HZ, 16 * MHZ, 16 * MHZ)

    def enabled(self, _register: str, _bit: int) -> bool:
        """Every peripheral is clocked when it is enabled."""
        return True

    def uart_clock_hz(self, _name: str) -> int:
        """PCLK16M."""
        return 16 * MHZ

    def pin_powered(self, _port: str, _number: int) -> str | None:
        """All pins are powered."""
        return None

    def _started(self) -> None:
        self.clock.registers[HFCLKSTARTED] = 1
        self._notify()

    def _status(self) -> int:
        return 1 << 16 | (self.clocks.source == "HFXO")


NRF52840 = Chip(
    part="nRF52840",
    title="nRF52840",
    core_name="m4",
    irq_count=48,  # "Instantiation": peripheral identifiers 0 to 47
    # "Memory map"; the RAM also shows at 0x800000, for code.
    regions=(
        Region("flash", 0x0000_0000, 1024 * KIB, writable=False),
        Region("RAM", 0x2000_0000, 256 * KIB, writable=True),
        Region("RAM (code)", 0x0080_0000, 256 * KIB, writable=True, alias_of="RAM"),
        Region("FICR and UICR", 0x1000_0000, 8 * KIB, writable=False),
    ),
    # "Instantiation": a peripheral every 4 KiB.
    rows=(
        Row("CLOCK", 0x4000_0000, 0x1000),
        Row("RADIO", 0x4000_1000, 0x1000),
        Row("UART0", 0x4000_2000, 0x1000),
        Row("GPIOTE", 0x4000_6000, 0x1000),
        Row("TIMER0", 0x4000_8000, 0x1000),
        Row("RTC0", 0x4000_B000, 0x1000),
        Row("WDT", 0x4001_0000, 0x1000),
        Row("NVMC", 0x4001_E000, 0x1000),
        # Both ports share a page: P1's registers begin where P0's have ended.
        Row("P0", 0x5000_0000, 0x800),
        Row("P1", 0x5000_0300, 0xA00),
    ),
    gpio_ports="",
    gpio_reset={},
    uarts=(UartPlace("UART0", 2, kind="nrf"),),
    boot_address=0,
    reset_hz=CORE_HZ,
    control=Nrf52Clocks,
    pins="nrf52",
)
