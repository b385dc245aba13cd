"""RCC, PWR and FLASH of the STM32F72x, F74x and F76x (RM0431, RM0385, RM0410; limits of DS10916 at 2.7 to 3.6 V)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.virtual.chips.stm32_clock import CR, HSI_HZ, Stm32Clocks
from tinydeploy.virtual.clocktree import MHZ, Clocks, ahb_divider, apb_divider, mhz
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import Timeline

# RCC
PLLCFGR, CFGR, BDCR, CSR, DCKCFGR1, DCKCFGR2 = 0x04, 0x08, 0x70, 0x74, 0x8C, 0x90
_ENABLES = {"AHB1ENR": 0x30, "AHB2ENR": 0x34, "AHB3ENR": 0x38, "APB1ENR": 0x40, "APB2ENR": 0x44}
_RCC_RESET = {
    CR: 0x83, PLLCFGR: 0x2400_3010, CFGR: 0, 0x0C: 0, 0x10: 0, 0x14: 0, 0x18: 0, 0x20: 0, 0x24: 0, 0x30: 0x0010_0000,
    0x34: 0, 0x38: 0, 0x40: 0, 0x44: 0, 0x50: 0x7EF7_B7FF, 0x54: 0xF1, 0x58: 3, 0x60: 0xFFFF_CBFF, 0x64: 0x04F7_7F33,
    BDCR: 0, CSR: 0x0E00_0000, 0x80: 0, 0x84: 0x2400_3000, 0x88: 0x2400_3000, DCKCFGR1: 0, DCKCFGR2: 0,
}  # fmt: skip
_SWITCHES = {"HSI": (0, 1), "HSE": (16, 17), "PLL": (24, 25), "PLLI2S": (26, 27), "PLLSAI": (28, 29)}
# PWR
CR1, CSR1, CR2, CSR2 = 0x00, 0x04, 0x08, 0x0C
_ODEN, _ODSWEN = 1 << 16, 1 << 17
# FLASH
ACR = 0x00
_STARTUP_US = {"HSI": 4, "HSE": 2000, "PLL": 200, "PLLI2S": 200, "PLLSAI": 200, "OD": 50, "ODSW": 50}
# Kernel clock selection of the UARTs: two bits each in RCC_DCKCFGR2, and the bus of the default.
_UARTS = {
    "USART1": (0, 2), "USART2": (2, 1), "USART3": (4, 1), "UART4": (6, 1),
    "UART5": (8, 1), "USART6": (10, 2), "UART7": (12, 1), "UART8": (14, 1),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """The highest frequencies of the voltage regulator's present ``mode``."""

    sysclk_hz: int
    hclk_hz: int
    apb1_hz: int
    apb2_hz: int
    mode: str


class Stm32F7Clocks(Stm32Clocks):
    """The F7's clock tree."""

    enables = _ENABLES
    switches = _SWITCHES
    startup_us = _STARTUP_US
    cr_mask = 0x150D_00F9
    sources = ("HSI", "HSE", "PLL")
    first_source = "HSI"
    cfgr = CFGR
    pll = "PLL"

    def __init__(self, timeline: Timeline, hse_hz: int | None, changed: Callable[[], None]) -> None:
        self.pwr = Peripheral("PWR", 0x4000_7000, {CR1: 0xC000, CSR1: 0, CR2: 0, CSR2: 0})
        self.flash = Peripheral(
            "FLASH", 0x4002_3C00, {ACR: 0, 0x0C: 0, 0x10: 0x8000_0000, 0x14: 0xC0FF_AAFD, 0x18: 0x0040_0080}
        )
        rcc = Peripheral("RCC", 0x4002_3800, _RCC_RESET)
        super().__init__(timeline, hse_hz, changed, rcc, self.pwr, self.flash)
        self._follows_bit_0(CSR, BDCR)
        rcc.writers[PLLCFGR] = lambda value: self._write_pll(PLLCFGR, value)
        self._updating(rcc, DCKCFGR2)
        self.pwr.readers = {CSR1: self._read_csr1}
        self.pwr.writers = {CR1: self._write_cr1, CSR1: lambda _value: None}
        self.flash.writers = {ACR: self._write_acr, 0x10: self._write_flash_cr}
        self.reset()

    @property
    def clocks(self) -> Clocks:
        """Frequencies as the registers stand."""
        cfgr = self.rcc.registers[CFGR]
        sysclk = self._hz(self._source)
        hclk = sysclk // ahb_divider(cfgr >> 4 & 0xF)
        return Clocks(
            self._source, sysclk, hclk, hclk // apb_divider(cfgr >> 10 & 7), hclk // apb_divider(cfgr >> 13 & 7)
        )

    def uart_clock_hz(self, name: str) -> int:
        """RCC_DCKCFGR2: 0 the APB clock, 1 SYSCLK, 2 HSI, 3 LSE."""
        position, bus = _UARTS[name]
        clocks = self.clocks
        apb = clocks.pclk1_hz if bus == 1 else clocks.pclk2_hz
        return self._choose_uart_hz(self.rcc.registers[DCKCFGR2] >> position, apb, BDCR)

    def _hz(self, source: str | None) -> int:
        if source == "PLL":
            return self._pll_hz()
        return HSI_HZ if source == "HSI" else self._hse_hz or 0

    def _pll_hz(self) -> int:
        value = self.rcc.registers[PLLCFGR]
        p = 2 * ((value >> 16 & 3) + 1)
        return self._pll_input_hz() * (value >> 6 & 0x1FF) // p

    def _pll_input_hz(self) -> int:
        value = self.rcc.registers[PLLCFGR]
        return self._hz("HSE" if value >> 22 & 1 else "HSI") // max(1, value & 0x3F)

    def _check_pll(self) -> None:
        """RM0385 RCC_PLLCFGR: what the software must ensure."""
        value = self.rcc.registers[PLLCFGR]
        source = "HSE" if value >> 22 & 1 else "HSI"
        if not self._oscillators.is_ready(source):
            raise SiliconError(f"turns the PLL on while its source {source} is not ready; wait for {source}RDY")
        m, n = value & 0x3F, value >> 6 & 0x1FF
        if m < 2 or not 50 <= n <= 432:
            raise SiliconError(f"turns the PLL on with PLLM {m} and PLLN {n}; they must be 2 to 63 and 50 to 432")
        pll_input = self._pll_input_hz()
        if not 950_000 <= pll_input <= 2_100_000:
            raise SiliconError(f"feeds the PLL with {mhz(pll_input)}; PLLM must bring it to 1 to 2 MHz")
        vco = pll_input * n
        if not 100 * MHZ <= vco <= 432 * MHZ:
            raise SiliconError(f"runs the PLL's VCO at {mhz(vco)}; it must be 100 to 432 MHz")

    def _read_csr1(self) -> int:
        ready = self._oscillators.is_ready
        return 1 << 14 | ready("OD") << 16 | ready("ODSW") << 17

    def _write_cr1(self, value: int) -> None:
        before = self.pwr.registers[CR1]
        if value & _ODEN and not before & _ODEN and self._source == "PLL":
            raise SiliconError("turns over-drive on while SYSCLK runs on the PLL; run on HSI or HSE first (RM0385)")
        if value & _ODSWEN and not before & _ODSWEN and not self._oscillators.is_ready("OD"):
            raise SiliconError("sets PWR_CR1.ODSWEN before PWR_CSR1.ODRDY; wait for it")
        if (value ^ before) & 3 << 14 and self._oscillators.is_on("PLL"):
            value = value & ~(3 << 14) | before & 3 << 14  # VOS can be changed only while the PLL is off
        self._oscillators.switch("OD", bool(value & _ODEN))
        self._oscillators.switch("ODSW", bool(value & _ODSWEN) and bool(value & _ODEN))
        self._store(self.pwr, CR1, value)

    def _write_acr(self, value: int) -> None:
        self._store(self.flash, ACR, value & 0xB0F)

    def _write_flash_cr(self, value: int) -> None:
        if value & 1 << 16:
            raise SiliconError("erases or programs flash, which the virtual board does not model")
        self.flash.registers[0x10] = value

    def _limits(self) -> Limits:
        over_drive = self._oscillators.is_ready("ODSW")
        scale = 4 - (self.pwr.registers[CR1] >> 14 & 3)
        top = {1: (180, 216), 2: (168, 180)}.get(scale, (144, 144))[over_drive] * MHZ
        mode = f"regulator scale {scale} {'with' if over_drive else 'without'} over-drive"
        return Limits(216 * MHZ, top, (54 if over_drive else 45) * MHZ, (108 if over_drive else 90) * MHZ, mode)

    def _check(self) -> None:
        clocks = self.clocks
        limits = self._limits()
        if clocks.hclk_hz > limits.hclk_hz or clocks.sysclk_hz > limits.sysclk_hz:
            raise SiliconError(
                f"runs the core at {mhz(clocks.hclk_hz)}, above the {mhz(limits.hclk_hz)} of {limits.mode}"
            )
        for name, hz, top in (("APB1", clocks.pclk1_hz, limits.apb1_hz), ("APB2", clocks.pclk2_hz, limits.apb2_hz)):
            if hz > top:
                raise SiliconError(f"runs {name} at {mhz(hz)}, above its {mhz(top)}; set its prescaler first")
        needed = (clocks.hclk_hz - 1) // (30 * MHZ)
        latency = self.flash.registers[ACR] & 0xF
        if latency < needed:
            raise SiliconError(
                f"runs the core at {mhz(clocks.hclk_hz)} with {latency} flash wait states; FLASH_ACR.LATENCY must be "
                f"at least {needed}"
            )
