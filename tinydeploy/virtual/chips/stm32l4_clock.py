"""RCC, PWR and FLASH of the STM32L4+ (RM0432, limits of DS12023) and of the STM32L47x (RM0351, DS10198)."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.chips.stm32_clock import CR, HSI_HZ, Stm32Clocks
from tinydeploy.virtual.clocktree import MHZ, Clocks, ahb_divider, apb_divider, mhz
from tinydeploy.virtual.oscillators import US
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import Timeline

_MSI_HZ = (100_000, 200_000, 400_000, 800_000, *(MHZ * x for x in (1, 2, 4, 8, 16, 24, 32, 48)))
# RCC
CFGR, PLLCFGR, BDCR, CSR, CRRCR, CCIPR = 0x08, 0x0C, 0x90, 0x94, 0x98, 0x88
_ENABLES = {
    "AHB1ENR": 0x48, "AHB2ENR": 0x4C, "AHB3ENR": 0x50, "APB1ENR1": 0x58, "APB1ENR2": 0x5C, "APB2ENR": 0x60,
}  # fmt: skip
_RCC_RESET = {
    CR: 0x63, 0x04: 0x1000_0000, CFGR: 0, PLLCFGR: 0x1000, 0x10: 0x1000, 0x14: 0x1000, 0x18: 0, 0x1C: 0, 0x20: 0,
    0x28: 0, 0x2C: 0, 0x30: 0, 0x38: 0, 0x3C: 0, 0x40: 0, 0x48: 0x100, 0x4C: 0, 0x50: 0, 0x58: 0, 0x5C: 0, 0x60: 0,
    0x68: 0x0007_1307, 0x6C: 0x0057_7FFF, 0x70: 0x301, 0x78: 0xF3FE_CC3F, 0x7C: 0x23, 0x80: 0x0D67_7801,
    CCIPR: 0, BDCR: 0, CSR: 0x0C00_0600, CRRCR: 0, 0x9C: 0,
}  # fmt: skip
_SWITCHES = {
    "MSI": (0, 1), "HSI16": (8, 10), "HSE": (16, 17), "PLL": (24, 25), "PLLSAI1": (26, 27), "PLLSAI2": (28, 29),
}  # fmt: skip
# PWR
CR1, CR2, CR3, SR1, SR2, SCR, CR5 = 0x00, 0x04, 0x08, 0x10, 0x14, 0x18, 0x80
_IOSV, _R1MODE = 1 << 9, 1 << 8
# FLASH
ACR = 0x00
_STARTUP_US = {"MSI": 10, "HSI16": 4, "HSE": 2000, "PLL": 40, "PLLSAI1": 40, "PLLSAI2": 40}
_VOS_US = 20
_BOOST_SETTLE_PS = 1 * US
# Two bits of RCC_CCIPR each, and the bus of the default.
_UARTS = {"USART1": (0, 2), "USART2": (2, 1), "USART3": (4, 1), "UART4": (6, 1), "UART5": (8, 1), "LPUART1": (10, 1)}


class Stm32L4PlusClocks(Stm32Clocks):
    """The L4+'s clock tree.

    ``latency_tops_mhz``: by voltage range, the highest HCLK for 0, 1, 2 ... wait states. ``pll_input_hz``: lowest and
    highest.
    """

    enables = _ENABLES
    switches = _SWITCHES
    startup_us = _STARTUP_US
    cr_mask = 0x150D_0BFD
    sources = ("MSI", "HSI16", "HSE", "PLL")
    first_source = "MSI"
    cfgr = CFGR
    pll = "PLL"
    pll_output = (PLLCFGR, 24, "RCC_PLLCFGR.PLLREN")
    latency_tops_mhz: tuple[tuple[int, ...], ...] = ((20, 40, 60, 80, 100, 120), (8, 16, 26))
    pll_input_hz = (2_660_000, 8 * MHZ)
    pll_n_top = 127
    has_boost = True

    def __init__(self, timeline: Timeline, hse_hz: int | None, changed: Callable[[], None]) -> None:
        self._above_80_since_ps: int | None = None
        self.pwr = Peripheral("PWR", 0x4000_7000, {
            CR1: 0x200, CR2: 0, CR3: 0x8000, 0x0C: 0, SR1: 0, SR2: 0, SCR: 0, CR5: 0x100,
            **{offset: 0 for offset in range(0x20, 0x68, 4)},
        })  # fmt: skip
        self.flash = Peripheral("FLASH", 0x4002_2000, {ACR: 0x600, 0x10: 0, 0x14: 0xC000_0000, 0x20: 0xFFEF_F8AA})
        rcc = Peripheral("RCC", 0x4002_1000, _RCC_RESET)
        super().__init__(timeline, hse_hz, changed, rcc, self.pwr, self.flash)
        self._follows_bit_0(CSR, BDCR)
        # The outputs may be switched while the PLL runs.
        rcc.writers[PLLCFGR] = lambda value: self._write_pll(PLLCFGR, value, 1 << 24 | 1 << 20 | 1 << 16)
        rcc.writers[CSR] = lambda value: self._store(rcc, CSR, value & ~2)
        self._updating(rcc, CCIPR)
        self.pwr.readers = {SR2: self._read_sr2}
        self.pwr.writers = {CR1: self._write_cr1, CR5: self._write_cr5}
        self.flash.writers = {
            ACR: lambda value: self._store(self.flash, ACR, value & (0x7F0F if self.has_boost else 0x7F07)),
            0x14: self._write_flash_cr,
        }
        self.reset()

    def reset(self) -> None:
        """MSI at 4 MHz, no wait states, range 1 without boost."""
        super().reset()
        self._above_80_since_ps = None

    def pin_powered(self, port: str, number: int) -> str | None:
        """PG2 to PG15 are supplied by VDDIO2 (RM0432 PWR_CR2)."""
        if port == "G" and number >= 2 and not self.pwr.registers[CR2] & _IOSV:
            return "VDDIO2 is off; set PWR_CR2.IOSV"
        return None

    @property
    def clocks(self) -> Clocks:
        """Frequencies as the registers stand."""
        cfgr = self.rcc.registers[CFGR]
        sysclk = self._hz(self._source)
        hclk = sysclk // ahb_divider(cfgr >> 4 & 0xF)
        return Clocks(
            self._source, sysclk, hclk, hclk // apb_divider(cfgr >> 8 & 7), hclk // apb_divider(cfgr >> 11 & 7)
        )

    def uart_clock_hz(self, name: str) -> int:
        """RCC_CCIPR: 0 the APB clock, 1 SYSCLK, 2 HSI16, 3 LSE."""
        position, bus = _UARTS[name]
        clocks = self.clocks
        apb = clocks.pclk1_hz if bus == 1 else clocks.pclk2_hz
        return self._choose_uart_hz(self.rcc.registers[CCIPR] >> position, apb, BDCR)

    def _hz(self, source: str | None) -> int:
        if source == "PLL":
            value = self.rcc.registers[PLLCFGR]
            return self._pll_input_hz() * (value >> 8 & 0x7F) // (2 * ((value >> 25 & 3) + 1))
        return self._msi_hz() if source == "MSI" else HSI_HZ if source == "HSI16" else self._hse_hz or 0

    def _msi_hz(self) -> int:
        cr = self.rcc.registers[CR]
        index = cr >> 4 & 0xF if cr & 8 else self.rcc.registers[CSR] >> 8 & 0xF
        return _MSI_HZ[min(index, len(_MSI_HZ) - 1)]

    def _pll_source(self) -> str | None:
        return (None, "MSI", "HSI16", "HSE")[self.rcc.registers[PLLCFGR] & 3]

    def _pll_input_hz(self) -> int:
        source = self._pll_source()
        return self._hz(source) // ((self.rcc.registers[PLLCFGR] >> 4 & 0xF) + 1) if source else 0

    def _write_cr(self, value: int) -> None:
        before = self._msi_hz()
        super()._write_cr(value)
        if self._msi_hz() != before and self._source != "MSI":
            self._oscillators.restart("MSI")

    def _check_pll(self) -> None:
        """RM0432 RCC_PLLCFGR and DS12023 "PLL characteristics"."""
        source = self._pll_source()
        if source is None or not self._oscillators.is_ready(source):
            raise SiliconError(f"turns the PLL on while its source {source or '(none chosen)'} is not ready")
        pll_input = self._pll_input_hz()
        low, high = self.pll_input_hz
        if not low <= pll_input <= high:
            raise SiliconError(f"feeds the PLL with {mhz(pll_input)}; PLLM must bring it to {mhz(low)} to {mhz(high)}")
        n = self.rcc.registers[PLLCFGR] >> 8 & 0x7F
        vco = pll_input * n
        top = 128 if self._voltage_range == 2 else 344
        if not 8 <= n <= self.pll_n_top or not 64 * MHZ <= vco <= top * MHZ:
            raise SiliconError(f"runs the PLL's VCO at {mhz(vco)} (PLLN {n}); it must be 64 to {top} MHz, PLLN from 8")

    @property
    def _voltage_range(self) -> int:
        return self.pwr.registers[CR1] >> 9 & 3

    def _read_sr2(self) -> int:
        return (not self._vos_ready) << 10 | 1 << 8  # VOSF, REGLPS

    def _write_cr1(self, value: int) -> None:
        if value >> 9 & 3 not in (1, 2):
            raise SiliconError("writes PWR_CR1.VOS with a value that is neither range 1 nor range 2")
        if value >> 9 & 3 != self._voltage_range:
            self._vos_changes(_VOS_US)
        self._store(self.pwr, CR1, value)

    def _write_cr5(self, value: int) -> None:
        if not self.has_boost:
            raise SiliconError("writes PWR_CR5, which this chip does not have")
        self._store(self.pwr, CR5, value & _R1MODE)

    def _write_flash_cr(self, value: int) -> None:
        if value & (1 << 16 | 1 << 18):
            raise SiliconError("erases or programs flash, which the virtual board does not model")
        self.flash.registers[0x14] = value

    def _check(self) -> None:
        clocks = self.clocks
        range_2 = self._voltage_range == 2
        boost = self.has_boost and not range_2 and not self.pwr.registers[CR5] & _R1MODE
        limit = (26 if range_2 else 120 if boost else 80) * MHZ
        mode = "voltage range 2" if range_2 else f"voltage range 1 {'boost' if boost else 'normal'} mode"
        if clocks.sysclk_hz > limit:
            raise SiliconError(f"runs SYSCLK at {mhz(clocks.sysclk_hz)}, above the {mhz(limit)} of {mode}")
        self._check_boost_entry(clocks)
        needed = sum(clocks.hclk_hz > top * MHZ for top in self.latency_tops_mhz[range_2])
        latency = self.flash.registers[ACR] & 0xF
        if latency < needed:
            raise SiliconError(
                f"runs the core at {mhz(clocks.hclk_hz)} with {latency} flash wait states; FLASH_ACR.LATENCY must be "
                f"at least {needed} in {mode}"
            )

    def _check_boost_entry(self, clocks: Clocks) -> None:
        """RM0432 "Dynamic voltage scaling management": above 80 MHz only through HPRE / 2 for a microsecond."""
        if clocks.sysclk_hz <= 80 * MHZ:
            self._above_80_since_ps = None
            return
        now = self._timeline.now_ps
        if self._above_80_since_ps is None:
            self._above_80_since_ps = now
        if clocks.hclk_hz > 80 * MHZ and now - self._above_80_since_ps < _BOOST_SETTLE_PS:
            raise SiliconError(
                f"runs the core at {mhz(clocks.hclk_hz)} at once; above 80 MHz run with HPRE at 2 for 1 us first"
            )


class Stm32L4Clocks(Stm32L4PlusClocks):
    """The L476's clock tree (RM0351; limits of DS10198): no boost mode, three bits of wait states."""

    latency_tops_mhz = ((16, 32, 48, 64, 80), (6, 12, 18, 26))
    pll_input_hz = (4 * MHZ, 16 * MHZ)
    pll_n_top = 86
    has_boost = False
