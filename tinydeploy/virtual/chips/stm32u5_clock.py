"""RCC, PWR, FLASH and ICACHE of the STM32U575 without TrustZone (RM0456; limits of DS13737)."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.clocktree import MHZ, Clocks, ahb_divider, apb_divider, mhz
from tinydeploy.virtual.oscillators import US, Oscillators
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import Timeline

HSI_HZ = 16 * MHZ
RESET_HZ = 4 * MHZ
_MSI_KHZ = (48000, 24000, 16000, 12000, 4000, 2000, 1330, 1000, 3072, 1536, 1024, 768, 400, 200, 133, 100)
# RCC
CR, ICSCR1, CFGR1, CFGR2, CFGR3, PLL1CFGR, PLL1DIVR, CCIPR1 = 0x00, 0x08, 0x1C, 0x20, 0x24, 0x28, 0x34, 0xE0
ENABLES = {
    "AHB1ENR": 0x88, "AHB2ENR1": 0x8C, "AHB2ENR2": 0x90, "AHB3ENR": 0x94, "APB1ENR1": 0x9C, "APB1ENR2": 0xA0,
    "APB2ENR": 0xA4, "APB3ENR": 0xA8,
}  # fmt: skip
_RCC_RESET = {
    CR: 0x35, ICSCR1: 0x4400_0000, 0x0C: 0, 0x10: 0, 0x14: 0, CFGR1: 0, CFGR2: 0x6000, CFGR3: 0, PLL1CFGR: 0, 0x2C: 0,
    0x30: 0, PLL1DIVR: 0x0101_0280, 0x38: 0, 0x3C: 0x0101_0280, 0x40: 0, 0x44: 0x0101_0280, 0x48: 0, 0x50: 0, 0x54: 0,
    0x58: 0, **dict.fromkeys(ENABLES.values(), 0), 0x88: 0xD020_0100, 0x8C: 0xC000_0000, 0x94: 0x8000_0000, CCIPR1: 0,
    0xE4: 0, 0xE8: 0, 0xF0: 0, 0xF4: 0x0C00_4400,
}  # fmt: skip
_SOURCES = ("MSIS", "HSI16", "HSE", "PLL1")
_PLL_SOURCES = (None, "MSIS", "HSI16", "HSE")
VOSR, ACR = 0x0C, 0x00
_BOOSTEN = 1 << 18
_STARTUP_US = {"MSIS": 10, "HSI16": 4, "HSE": 2000, "PLL1": 50, "BOOST": 20}
_VOS_US = 40
# RM0456 "Read access latency" and "Dynamic voltage scaling management": by range, the highest HCLK in MHz for 0, 1 ...
# wait states; the last is the most that the range takes.
_LATENCY_TOPS = {1: (32, 64, 96, 128, 160), 2: (30, 60, 90, 110), 3: (24, 48, 55), 4: (12, 25)}
_WITHOUT_BOOST = 55 * MHZ
_UARTS = {"USART1": (0, 2), "USART2": (2, 1), "USART3": (4, 1), "UART4": (6, 1), "UART5": (8, 1)}


class Stm32U5Clocks:
    """The U575's clock tree. `hse_hz` is what the board feeds (None: nothing); `changed()` follows every change."""

    def __init__(self, timeline: Timeline, hse_hz: int | None, changed: Callable[[], None]) -> None:
        self._timeline = timeline
        self._hse_hz = hse_hz
        self._notify = changed
        self._source = "MSIS"
        self._vos_until_ps = 0
        self._oscillators = Oscillators(timeline, _STARTUP_US, self._update)
        self.rcc = Peripheral("RCC", 0x4602_0C00, _RCC_RESET)
        self.pwr = Peripheral("PWR", 0x4602_0800, {0x00: 0, 0x04: 0, 0x08: 0, VOSR: 0, 0x10: 0})
        self.flash = Peripheral("FLASH", 0x4002_2000, {ACR: 1, 0x20: 0, 0x28: 0xC000_0000})
        self.icache = Peripheral("ICACHE", 0x4003_0400, {0x00: 4, 0x04: 0})
        self.rcc.readers = {CR: self._read_cr, CFGR1: self._read_cfgr1}
        self.rcc.writers = {
            CR: self._write_cr,
            CFGR1: lambda value: self._store(self.rcc, CFGR1, value & ~0xC),
            PLL1CFGR: lambda value: self._write_pll(PLL1CFGR, value),
            PLL1DIVR: lambda value: self._write_pll(PLL1DIVR, value),
        }
        for offset in (CFGR2, CFGR3, ICSCR1, CCIPR1):
            self.rcc.writers[offset] = lambda value, offset=offset: self._store(self.rcc, offset, value)  # type: ignore[misc]
        self.pwr.readers = {VOSR: self._read_vosr}
        self.pwr.writers = {VOSR: self._write_vosr}
        self.flash.writers = {ACR: lambda value: self._store(self.flash, ACR, value & 0x790F)}
        self.icache.writers = {0x04: lambda _value: None}
        self.reset()

    @property
    def peripherals(self) -> tuple[Peripheral, ...]:
        """RCC, PWR, FLASH, ICACHE."""
        return self.rcc, self.pwr, self.flash, self.icache

    def reset(self) -> None:
        """MSIS at 4 MHz, range 4, one wait state."""
        for peripheral in self.peripherals:
            peripheral.reset()
        self._source = "MSIS"
        self._vos_until_ps = 0
        self._oscillators.reset("MSIS")

    def enabled(self, register: str, bit: int) -> bool:
        """Is the bit of an enable register set?"""
        return bool(self.rcc.registers[ENABLES[register]] >> bit & 1)

    def pin_powered(self, port: str, number: int) -> str | None:
        """PG2 to PG15 are supplied by VDDIO2 (RM0456 PWR_SVMCR)."""
        if port == "G" and number >= 2 and not self.pwr.registers[0x10] >> 29 & 1:
            return "VDDIO2 is off; set PWR_SVMCR.IO2SV"
        return None

    @property
    def clocks(self) -> Clocks:
        """Frequencies as the registers stand."""
        cfgr2 = self.rcc.registers[CFGR2]
        sysclk = self._hz(self._source)
        hclk = sysclk // ahb_divider(cfgr2 & 0xF)
        return Clocks(
            self._source, sysclk, hclk, hclk // apb_divider(cfgr2 >> 4 & 7), hclk // apb_divider(cfgr2 >> 8 & 7)
        )

    def uart_clock_hz(self, name: str) -> int:
        """RCC_CCIPR1: 0 the APB clock, 1 SYSCLK, 2 HSI16, 3 LSE."""
        position, bus = _UARTS[name]
        clocks = self.clocks
        choice = self.rcc.registers[CCIPR1] >> position & 3
        hsi = HSI_HZ if self._oscillators.is_ready("HSI16") else 0
        return (clocks.pclk1_hz if bus == 1 else clocks.pclk2_hz, clocks.sysclk_hz, hsi, 0)[choice]

    def _hz(self, source: str | None) -> int:
        if source == "PLL1":
            value = self.rcc.registers[PLL1DIVR]
            return self._pll_input_hz() * ((value & 0x1FF) + 1) // ((value >> 24 & 0x7F) + 1)
        if source == "MSIS":
            icscr1 = self.rcc.registers[ICSCR1]
            return _MSI_KHZ[icscr1 >> 28 if icscr1 >> 23 & 1 else 4] * 1000
        return HSI_HZ if source == "HSI16" else self._hse_hz or 0

    def _pll_source(self) -> str | None:
        return _PLL_SOURCES[self.rcc.registers[PLL1CFGR] & 3]

    def _pll_input_hz(self) -> int:
        source = self._pll_source()
        return self._hz(source) // ((self.rcc.registers[PLL1CFGR] >> 8 & 0xF) + 1) if source else 0

    def _store(self, peripheral: Peripheral, offset: int, value: int) -> None:
        peripheral.registers[offset] = value
        self._update()

    def _read_cr(self) -> int:
        ready = self._oscillators.is_ready
        value = self.rcc.registers[CR] & ~0x0202_0404
        return value | ready("MSIS") << 2 | ready("HSI16") << 10 | ready("HSE") << 17 | ready("PLL1") << 25

    def _write_cr(self, value: int) -> None:
        if value >> 24 & 1 and not self._oscillators.is_on("PLL1"):
            self._check_pll()
        for name, bit in (("MSIS", 0), ("HSI16", 8), ("HSE", 16), ("PLL1", 24)):
            if self._source == name:
                value |= 1 << bit  # hardware keeps the source that it runs on
        self.rcc.registers[CR] = value
        switch = self._oscillators.switch
        switch("MSIS", bool(value & 1))
        switch("HSI16", bool(value >> 8 & 1))
        switch("HSE", bool(value >> 16 & 1) and self._hse_hz is not None)
        switch("PLL1", bool(value >> 24 & 1))
        self._update()

    def _write_pll(self, offset: int, value: int) -> None:
        outputs = 7 << 16 if offset == PLL1CFGR else 0  # the outputs may be switched while the PLL runs
        if self._oscillators.is_on("PLL1") and (value ^ self.rcc.registers[offset]) & ~outputs:
            raise SiliconError("changes the settings of PLL1 while it is on; turn it off first")
        self._store(self.rcc, offset, value)

    def _check_pll(self) -> None:
        """RM0456 RCC_PLL1CFGR and RCC_PLL1DIVR."""
        source = self._pll_source()
        if source is None or not self._oscillators.is_ready(source):
            raise SiliconError(f"turns PLL1 on while its source {source or '(none chosen)'} is not ready")
        pll_input, rge = self._pll_input_hz(), self.rcc.registers[PLL1CFGR] >> 2 & 3
        low, high = (8, 16) if rge == 3 else (4, 8)
        if not low * MHZ <= pll_input <= high * MHZ:
            raise SiliconError(f"feeds PLL1 with {mhz(pll_input)}; PLL1RGE {rge} says {low} to {high} MHz")
        vco = pll_input * ((self.rcc.registers[PLL1DIVR] & 0x1FF) + 1)
        if not 128 * MHZ <= vco <= 544 * MHZ:
            raise SiliconError(f"runs PLL1's VCO at {mhz(vco)}; it must be 128 to 544 MHz")

    def _read_cfgr1(self) -> int:
        return self.rcc.registers[CFGR1] & ~0xC | _SOURCES.index(self._source) << 2

    @property
    def _range(self) -> int:
        return 4 - (self.pwr.registers[VOSR] >> 16 & 3)

    @property
    def _vos_ready(self) -> bool:
        return self._timeline.now_ps >= self._vos_until_ps

    def _read_vosr(self) -> int:
        return self.pwr.registers[VOSR] | self._vos_ready << 15 | self._oscillators.is_ready("BOOST") << 14

    def _write_vosr(self, value: int) -> None:
        if (value ^ self.pwr.registers[VOSR]) >> 16 & 3:
            self._vos_until_ps = self._timeline.now_ps + _VOS_US * US
        if value & _BOOSTEN and not self._oscillators.is_on("BOOST"):
            source = self._pll_source()
            code = self.rcc.registers[PLL1CFGR] >> 12 & 0xF
            booster = self._hz(source) // max(1, 2 * code)
            if source is None or not self._oscillators.is_ready(source) or not 4 * MHZ <= booster <= 16 * MHZ:
                raise SiliconError(
                    f"turns the EPOD booster on with a clock of {mhz(booster)}; RCC_PLL1CFGR's source and PLL1MBOOST "
                    "must give it 4 to 16 MHz that run"
                )
        self._oscillators.switch("BOOST", bool(value & _BOOSTEN))
        self._store(self.pwr, VOSR, value & 0x7_0000)

    def _update(self) -> None:
        """Follow SW once its source is ready, and check every limit."""
        wanted = _SOURCES[self.rcc.registers[CFGR1] & 3]
        if self._oscillators.is_ready(wanted) and wanted != self._source:
            if wanted == "PLL1" and not self.rcc.registers[PLL1CFGR] >> 18 & 1:
                raise SiliconError("runs SYSCLK on PLL1 while RCC_PLL1CFGR.PLL1REN is clear; set it first")
            self._source = wanted
        self._check()
        self._notify()

    def _check(self) -> None:
        clocks, tops = self.clocks, _LATENCY_TOPS[self._range]
        if clocks.sysclk_hz > tops[-1] * MHZ:
            raise SiliconError(
                f"runs SYSCLK at {mhz(clocks.sysclk_hz)}, above the {tops[-1]} MHz of voltage range {self._range}"
            )
        if clocks.sysclk_hz > 25 * MHZ and not self._vos_ready:
            raise SiliconError("raises the clock before PWR_VOSR.VOSRDY; wait for it")
        if clocks.sysclk_hz > _WITHOUT_BOOST and not self._oscillators.is_ready("BOOST"):
            raise SiliconError(
                f"runs SYSCLK at {mhz(clocks.sysclk_hz)} without the EPOD booster; set PWR_VOSR.BOOSTEN and wait for "
                "BOOSTRDY above 55 MHz"
            )
        needed = sum(clocks.hclk_hz > top * MHZ for top in tops)
        latency = self.flash.registers[ACR] & 0xF
        if latency < needed:
            raise SiliconError(
                f"runs the core at {mhz(clocks.hclk_hz)} with {latency} flash wait states; FLASH_ACR.LATENCY must be "
                f"at least {needed} in voltage range {self._range}"
            )
