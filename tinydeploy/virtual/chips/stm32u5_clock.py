"""RCC, PWR, FLASH and ICACHE of the STM32U575 without TrustZone (RM0456; limits of DS13737)."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.chips.stm32_clock import CR, HSI_HZ, Stm32Clocks
from tinydeploy.virtual.clocktree import MHZ, Clocks, ahb_divider, apb_divider, mhz
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import Timeline

RESET_HZ = 4 * MHZ
_MSI_KHZ = (48000, 24000, 16000, 12000, 4000, 2000, 1330, 1000, 3072, 1536, 1024, 768, 400, 200, 133, 100)
# RCC
ICSCR1, CFGR1, CFGR2, CFGR3, PLL1CFGR, PLL1DIVR, CCIPR1, BDCR = 0x08, 0x1C, 0x20, 0x24, 0x28, 0x34, 0xE0, 0xF0
_ENABLES = {
    "AHB1ENR": 0x88, "AHB2ENR1": 0x8C, "AHB2ENR2": 0x90, "AHB3ENR": 0x94, "APB1ENR1": 0x9C, "APB1ENR2": 0xA0,
    "APB2ENR": 0xA4, "APB3ENR": 0xA8,
}  # fmt: skip
_RCC_RESET = {
    CR: 0x35, ICSCR1: 0x4400_0000, 0x0C: 0, 0x10: 0, 0x14: 0, CFGR1: 0, CFGR2: 0x6000, CFGR3: 0, PLL1CFGR: 0, 0x2C: 0,
    0x30: 0, PLL1DIVR: 0x0101_0280, 0x38: 0, 0x3C: 0x0101_0280, 0x40: 0, 0x44: 0x0101_0280, 0x48: 0, 0x50: 0, 0x54: 0,
    0x58: 0, **dict.fromkeys(_ENABLES.values(), 0), 0x88: 0xD020_0100, 0x8C: 0xC000_0000, 0x94: 0x8000_0000, CCIPR1: 0,
    0xE4: 0, 0xE8: 0, BDCR: 0, 0xF4: 0x0C00_4400,
}  # fmt: skip
_SWITCHES = {
    "MSIS": (0, 2), "MSIK": (4, 5), "HSI16": (8, 10), "HSI48": (12, 13), "SHSI": (14, 15), "HSE": (16, 17),
    "PLL1": (24, 25), "PLL2": (26, 27), "PLL3": (28, 29),
}  # fmt: skip
_PLL_SOURCES = (None, "MSIS", "HSI16", "HSE")
VOSR, SVMSR, ACR = 0x0C, 0x3C, 0x00
_BOOSTEN = 1 << 18
_STARTUP_US = {
    "MSIS": 10, "MSIK": 10, "HSI16": 4, "HSI48": 5, "SHSI": 10, "HSE": 2000, "PLL1": 50, "PLL2": 50, "PLL3": 50,
    "BOOST": 20,
}  # fmt: skip
_VOS_US = 40
# RM0456 "Read access latency" and "Dynamic voltage scaling management": by range, the highest HCLK in MHz for 0, 1 ...
# wait states; the last is the most that the range takes.
_LATENCY_TOPS = {1: (32, 64, 96, 128, 160), 2: (30, 60, 90, 110), 3: (24, 48, 55), 4: (12, 25)}
_WITHOUT_BOOST = 55 * MHZ
_UARTS = {"USART1": (0, 2), "USART2": (2, 1), "USART3": (4, 1), "UART4": (6, 1), "UART5": (8, 1)}


class Stm32U5Clocks(Stm32Clocks):
    """The U575's clock tree: MSIS at 4 MHz, range 4 and one wait state after reset."""

    enables = _ENABLES
    switches = _SWITCHES
    startup_us = _STARTUP_US
    cr_mask = ~0x2A02_A424
    sources = ("MSIS", "HSI16", "HSE", "PLL1")
    first_source = "MSIS"
    cfgr = CFGR1
    pll = "PLL1"
    pll_output = (PLL1CFGR, 18, "RCC_PLL1CFGR.PLL1REN")

    def __init__(self, timeline: Timeline, hse_hz: int | None, changed: Callable[[], None]) -> None:
        self.pwr = Peripheral("PWR", 0x4602_0800, {0x00: 0, 0x04: 0, 0x08: 0, VOSR: 0, 0x10: 0, SVMSR: 0})
        self.flash = Peripheral("FLASH", 0x4002_2000, {ACR: 1, 0x20: 0, 0x28: 0xC000_0000})
        self.icache = Peripheral("ICACHE", 0x4003_0400, {0x00: 4, 0x04: 0})
        rcc = Peripheral("RCC", 0x4602_0C00, _RCC_RESET)
        super().__init__(timeline, hse_hz, changed, rcc, self.pwr, self.flash, self.icache)
        # The outputs may be switched while the PLL runs.
        rcc.writers[PLL1CFGR] = lambda value: self._write_pll(PLL1CFGR, value, 7 << 16)
        rcc.writers[PLL1DIVR] = lambda value: self._write_pll(PLL1DIVR, value)
        self._updating(rcc, CFGR2, CFGR3, ICSCR1, CCIPR1)
        self.pwr.readers = {
            VOSR: self._read_vosr,
            # ACTVOS and ACTVOSRDY as VOSR says, REGS as CR3.REGSEL; all supplies are there.
            SVMSR: lambda: (
                self.pwr.registers[VOSR] & 3 << 16 | self._vos_ready << 15 | 0xF << 24 | self.pwr.registers[0x08] & 2
            ),
        }
        self.pwr.writers = {VOSR: self._write_vosr}
        self.flash.writers = {ACR: lambda value: self._store(self.flash, ACR, value & 0x790F)}
        self.icache.writers = {0x04: lambda _value: None}
        self.reset()

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
        apb = clocks.pclk1_hz if bus == 1 else clocks.pclk2_hz
        return self._choose_uart_hz(self.rcc.registers[CCIPR1] >> position, apb, BDCR)

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

    @property
    def _range(self) -> int:
        return 4 - (self.pwr.registers[VOSR] >> 16 & 3)

    def _read_vosr(self) -> int:
        return self.pwr.registers[VOSR] | self._vos_ready << 15 | self._oscillators.is_ready("BOOST") << 14

    def _write_vosr(self, value: int) -> None:
        if (value ^ self.pwr.registers[VOSR]) >> 16 & 3:
            self._vos_changes(_VOS_US)
        if value & _BOOSTEN and not self._oscillators.is_on("BOOST"):
            self._rule(self._check_booster)
        self._oscillators.switch("BOOST", bool(value & _BOOSTEN))
        self._store(self.pwr, VOSR, value & 0x7_0000)

    def _check_booster(self) -> None:
        source = self._pll_source()
        code = self.rcc.registers[PLL1CFGR] >> 12 & 0xF
        booster = self._hz(source) // max(1, 2 * code)
        if source is None or not self._oscillators.is_ready(source) or not 4 * MHZ <= booster <= 16 * MHZ:
            raise SiliconError(
                f"turns the EPOD booster on with a clock of {mhz(booster)}; RCC_PLL1CFGR's source and PLL1MBOOST "
                "must give it 4 to 16 MHz that run"
            )

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
