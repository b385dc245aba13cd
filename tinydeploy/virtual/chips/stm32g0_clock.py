"""RCC, PWR and FLASH of the STM32G0B1 (RM0444, limits of DS13560) in voltage range 1."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.chips.stm32_clock import CR, HSI_HZ, LSE_HZ, Stm32Clocks
from tinydeploy.virtual.clocktree import MHZ, Clocks, ahb_divider, apb_divider, mhz
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import Timeline

CFGR, PLLCFGR, CCIPR, BDCR, CSR = 0x08, 0x0C, 0x54, 0x5C, 0x60
_ENABLES = {"IOPENR": 0x34, "AHBENR": 0x38, "APBENR1": 0x3C, "APBENR2": 0x40}
_RCC_RESET = {
    CR: 0x500, 0x04: 0x4000, CFGR: 0, PLLCFGR: 0x1000, 0x14: 0, 0x18: 0, 0x1C: 0, 0x20: 0, 0x24: 0, 0x28: 0, 0x2C: 0,
    0x30: 0, 0x34: 0, 0x38: 0x100, 0x3C: 0, 0x40: 0, 0x44: 0x3F, 0x48: 0x0005_1303, 0x4C: 0xFFFF_FFB7,
    0x50: 0x0017_D801, CCIPR: 0, 0x58: 0, BDCR: 0, CSR: 0,
}  # fmt: skip
ACR = 0x00
_UARTS = {"USART1": 0, "USART2": 2, "USART3": 4, "LPUART2": 8, "LPUART1": 10}


class Stm32G0Clocks(Stm32Clocks):
    """The G0B1's clock tree: HSI at 16 MHz, no wait states after reset. All UARTs and timers are on one APB."""

    enables = _ENABLES
    switches = {"HSI": (8, 10), "HSE": (16, 17), "PLL": (24, 25)}  # noqa: RUF012 - a constant of the class
    startup_us = {"HSI": 4, "HSE": 2000, "PLL": 40}  # noqa: RUF012 - a constant of the class
    cr_mask = 0x0105_3F00
    sources = ("HSI", "HSE", "PLL", "LSI", "LSE")
    first_source = "HSI"
    cfgr = CFGR
    sw_bits = 3
    pll = "PLL"
    pll_output = (PLLCFGR, 28, "RCC_PLLCFGR.PLLREN")

    def __init__(self, timeline: Timeline, hse_hz: int | None, changed: Callable[[], None]) -> None:
        self.pwr = Peripheral("PWR", 0x4000_7000, {0x00: 0x208, 0x04: 0, 0x08: 0x8000, 0x10: 0, 0x14: 0x80, 0x18: 0})
        self.flash = Peripheral("FLASH", 0x4002_2000, {ACR: 0x0004_0600, 0x10: 0, 0x14: 0xC000_0000, 0x20: 0xFFFF_FEAA})
        rcc = Peripheral("RCC", 0x4002_1000, _RCC_RESET)
        super().__init__(timeline, hse_hz, changed, rcc, self.pwr, self.flash)
        self._follows_bit_0(CSR, BDCR)
        rcc.writers[PLLCFGR] = lambda value: self._write_pll(PLLCFGR, value, 1 << 28 | 1 << 24 | 1 << 16)
        self._updating(rcc, CCIPR)
        self.flash.writers = {ACR: lambda value: self._store(self.flash, ACR, value & 0x0007_0F07)}
        self.reset()

    @property
    def clocks(self) -> Clocks:
        """Frequencies as the registers stand."""
        cfgr = self.rcc.registers[CFGR]
        sysclk = self._hz(self._source)
        hclk = sysclk // ahb_divider(cfgr >> 8 & 0xF)
        pclk = hclk // apb_divider(cfgr >> 12 & 7)
        return Clocks(self._source, sysclk, hclk, pclk, pclk)

    def uart_clock_hz(self, name: str) -> int:
        """RCC_CCIPR: 0 the APB clock, 1 SYSCLK, 2 HSI16, 3 LSE."""
        choice = self.rcc.registers[CCIPR] >> _UARTS[name] if name in _UARTS else 0
        return self._choose_uart_hz(choice, self.clocks.pclk1_hz, BDCR)

    def _hz(self, source: str | None) -> int:
        if source == "PLL":
            value = self.rcc.registers[PLLCFGR]
            return self._pll_input_hz() * (value >> 8 & 0x7F) // ((value >> 29 & 7) + 1)
        if source == "HSI":
            return HSI_HZ >> (self.rcc.registers[CR] >> 11 & 7)
        return {"LSI": 32_000, "LSE": LSE_HZ}.get(source or "", self._hse_hz or 0)

    def _pll_input_hz(self) -> int:
        value = self.rcc.registers[PLLCFGR]
        hz = {2: HSI_HZ, 3: self._hse_hz or 0}.get(value & 3, 0)
        return hz // ((value >> 4 & 7) + 1)

    def _check_pll(self) -> None:
        """RM0444 RCC_PLLCFGR."""
        pll_input, n = self._pll_input_hz(), self.rcc.registers[PLLCFGR] >> 8 & 0x7F
        if not 2_660_000 <= pll_input <= 16 * MHZ:
            raise SiliconError(f"feeds the PLL with {mhz(pll_input)}; PLLM must bring it to 2.66 to 16 MHz")
        if not 8 <= n <= 86 or not 64 * MHZ <= pll_input * n <= 344 * MHZ:
            raise SiliconError(f"runs the PLL's VCO at {mhz(pll_input * n)} (PLLN {n}); it must be 64 to 344 MHz")

    def _check(self) -> None:
        """RM0444 "Read access latency": 24, 48, 64 MHz with 0, 1, 2 wait states in range 1."""
        hclk, latency = self.clocks.hclk_hz, self.flash.registers[ACR] & 7
        if hclk > 64 * MHZ:
            raise SiliconError(f"runs the core at {mhz(hclk)}, above its 64 MHz")
        needed = (hclk > 24 * MHZ) + (hclk > 48 * MHZ)
        if latency < needed:
            raise SiliconError(
                f"runs the core at {mhz(hclk)} with {latency} flash wait states; FLASH_ACR.LATENCY must be at least "
                f"{needed}"
            )
