"""What the clock trees of the STM32 have in common: the oscillators of RCC_CR, the switch of SYSCLK, enable bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from tinydeploy.virtual.clocktree import MHZ, Clocks
from tinydeploy.virtual.oscillators import US, Oscillators
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import Timeline

CR = 0x00  # RCC
HSI_HZ = 16 * MHZ
LSE_HZ = 32_768


class Stm32Clocks(ABC):
    """RCC, PWR and FLASH. `hse_hz` is what the board feeds (None: nothing); `changed()` follows every change.

    A family states: ``enables``, the offsets of the enable registers; ``switches``, by oscillator the bits of RCC_CR
    that turn it on and say that it is ready; ``startup_us``, for these and for what else settles; ``cr_mask``, what can
    be written to RCC_CR; ``sources`` of SYSCLK by the code of SW, the first running after reset; ``cfgr`` with SW at
    bit 0 and SWS next to it, each ``sw_bits`` wide; ``pll``, the oscillator that ``_check_pll`` is asked about, and
    ``pll_output``, the register, bit and name of what lets it out to SYSCLK.
    """

    enables: ClassVar[Mapping[str, int]]
    switches: ClassVar[Mapping[str, tuple[int, int]]]
    startup_us: ClassVar[Mapping[str, int]]
    cr_mask: ClassVar[int]
    sources: ClassVar[tuple[str, ...]]
    first_source: ClassVar[str]
    cfgr: ClassVar[int]
    sw_bits: ClassVar[int] = 2
    pll: ClassVar[str]
    pll_output: ClassVar[tuple[int, int, str] | None] = None

    def __init__(
        self,
        timeline: Timeline,
        hse_hz: int | None,
        changed: Callable[[], None],
        rcc: Peripheral,
        *others: Peripheral,
    ) -> None:
        self._timeline = timeline
        self._hse_hz = hse_hz
        self._notify = changed
        self._source = self.first_source
        self._vos_until_ps = 0
        self.broken: Callable[[SiliconError], None] | None = None  # told of broken rules, where they end nothing
        self._oscillators = Oscillators(timeline, dict(self.startup_us), self._update)
        self.rcc = rcc
        self.peripherals: tuple[Peripheral, ...] = (rcc, *others)
        self._sw_mask = (1 << self.sw_bits) - 1
        rcc.readers |= {CR: self._read_cr, self.cfgr: self._read_cfgr}
        rcc.writers |= {
            CR: self._write_cr,
            self.cfgr: lambda value: self._store(rcc, self.cfgr, value & ~(self._sw_mask << self.sw_bits)),
        }

    def reset(self) -> None:
        """To the state after reset, on the first source."""
        for peripheral in self.peripherals:
            peripheral.reset()
        self._source = self.first_source
        self._vos_until_ps = 0
        self._oscillators.reset(self.first_source)

    def enabled(self, register: str, bit: int) -> bool:
        """Is the bit of an enable register set?"""
        return bool(self.rcc.registers[self.enables[register]] >> bit & 1)

    def pin_powered(self, port: str, number: int) -> str | None:
        """None, or why the pin is dead; all are powered unless the family knows better."""
        return None

    @property
    @abstractmethod
    def clocks(self) -> Clocks:
        """Frequencies as the registers stand."""

    @abstractmethod
    def uart_clock_hz(self, name: str) -> int:
        """The kernel clock of a UART; 0 when it is not running."""

    @abstractmethod
    def _hz(self, source: str | None) -> int:
        """The frequency that a source has while it runs."""

    @abstractmethod
    def _check_pll(self) -> None:
        """The PLL is about to be turned on. Raises SiliconError."""

    @abstractmethod
    def _check(self) -> None:
        """Every limit, as the registers stand. Raises SiliconError."""

    def _choose_uart_hz(self, choice: int, apb_hz: int, lse_register: int) -> int:
        """The usual four choices: 0 the APB clock, 1 SYSCLK, 2 HSI, 3 LSE (on while bit 0 of its register is set)."""
        hsi = HSI_HZ if any(self._oscillators.is_ready(name) for name in ("HSI", "HSI16")) else 0
        lse = LSE_HZ if self.rcc.registers[lse_register] & 1 else 0
        return (apb_hz, self.clocks.sysclk_hz, hsi, lse)[choice & 3]

    def _store(self, peripheral: Peripheral, offset: int, value: int) -> None:
        peripheral.registers[offset] = value
        self._update()

    def _updating(self, peripheral: Peripheral, *offsets: int) -> None:
        """Writing these registers changes clocks."""
        for offset in offsets:
            peripheral.writers[offset] = lambda value, offset=offset: self._store(peripheral, offset, value)  # type: ignore[misc]

    def _follows_bit_0(self, *offsets: int) -> None:
        """Bit 1 of these RCC registers says that what bit 0 turns on is ready."""
        for offset in offsets:
            self.rcc.readers[offset] = lambda offset=offset: (  # type: ignore[misc]
                self.rcc.registers[offset] | (self.rcc.registers[offset] & 1) << 1
            )

    def _read_cr(self) -> int:
        value = self.rcc.registers[CR]
        for name, (_, ready_bit) in self.switches.items():
            value = value & ~(1 << ready_bit) | self._oscillators.is_ready(name) << ready_bit
        return value

    def _write_cr(self, value: int) -> None:
        if value >> self.switches[self.pll][0] & 1 and not self._oscillators.is_on(self.pll):
            self._rule(self._check_pll)
        if self._source in self.switches:
            value |= 1 << self.switches[self._source][0]  # hardware keeps the source that it runs on
        self.rcc.registers[CR] = value & self.cr_mask
        for name, (on_bit, _) in self.switches.items():
            self._oscillators.switch(name, bool(value >> on_bit & 1) and (name != "HSE" or self._hse_hz is not None))
        self._update()

    def _read_cfgr(self) -> int:
        return (
            self.rcc.registers[self.cfgr] & ~(self._sw_mask << self.sw_bits)
            | self.sources.index(self._source) << self.sw_bits
        )

    def _write_pll(self, offset: int, value: int, free_bits: int = 0) -> None:
        """Settings of the PLL, `free_bits` of which may change while it runs."""
        self._rule(lambda: self._check_pll_write(offset, value, free_bits))
        self._store(self.rcc, offset, value)

    def _check_pll_write(self, offset: int, value: int, free_bits: int) -> None:
        if self._oscillators.is_on(self.pll) and (value ^ self.rcc.registers[offset]) & ~free_bits:
            raise SiliconError(f"changes the settings of the {self.pll} while it is on; turn it off first")

    @property
    def _vos_ready(self) -> bool:
        return self._timeline.now_ps >= self._vos_until_ps

    def _vos_changes(self, settle_us: int) -> None:
        """The voltage is on its way."""
        self._vos_until_ps = self._timeline.now_ps + settle_us * US

    def _update(self) -> None:
        """Follow SW once its source is ready, and check every limit."""
        code = self.rcc.registers[self.cfgr] & self._sw_mask
        wanted = self.sources[code] if code < len(self.sources) else ""
        if wanted != self._source and self._oscillators.is_ready(wanted):
            if wanted == self.pll:
                self._rule(self._check_pll_output)
            self._source = wanted
        self._rule(self._check)
        self._notify()

    def _check_pll_output(self) -> None:
        if self.pll_output is not None:
            offset, bit, name = self.pll_output
            if not self.rcc.registers[offset] >> bit & 1:
                raise SiliconError(f"runs SYSCLK on the {self.pll} while {name} is clear; set it first")

    def _rule(self, check: Callable[[], None]) -> None:
        """What the manual demands: breaking it ends the run, or ``broken`` is told and it goes on."""
        try:
            check()
        except SiliconError as error:
            if self.broken is None:
                raise
            self.broken(error)
