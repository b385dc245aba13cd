"""RCC, PWR and FLASH of the STM32F72x, F74x and F76x (RM0431, RM0385, RM0410; limits of DS10916 at 2.7 to 3.6 V)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.virtual.clocktree import MHZ, Clocks, ahb_divider, apb_divider, mhz
from tinydeploy.virtual.oscillators import Oscillators
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import Timeline

HSI_HZ = 16 * MHZ
# RCC
CR, PLLCFGR, CFGR, BDCR, CSR, DCKCFGR1, DCKCFGR2 = 0x00, 0x04, 0x08, 0x70, 0x74, 0x8C, 0x90
ENABLES = {"AHB1ENR": 0x30, "AHB2ENR": 0x34, "AHB3ENR": 0x38, "APB1ENR": 0x40, "APB2ENR": 0x44}
_RCC_RESET = {
    CR: 0x83, PLLCFGR: 0x2400_3010, CFGR: 0, 0x0C: 0, 0x10: 0, 0x14: 0, 0x18: 0, 0x20: 0, 0x24: 0, 0x30: 0x0010_0000,
    0x34: 0, 0x38: 0, 0x40: 0, 0x44: 0, 0x50: 0x7EF7_B7FF, 0x54: 0xF1, 0x58: 3, 0x60: 0xFFFF_CBFF, 0x64: 0x04F7_7F33,
    BDCR: 0, CSR: 0x0E00_0000, 0x80: 0, 0x84: 0x2400_3000, 0x88: 0x2400_3000, DCKCFGR1: 0, DCKCFGR2: 0,
}  # fmt: skip
_SOURCES = ("HSI", "HSE", "PLL")
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


class Stm32F7Clocks:
    """The F7's clock tree. `hse_hz` is what the board feeds (None: nothing); `changed()` follows every change."""

    def __init__(self, timeline: Timeline, hse_hz: int | None, changed: Callable[[], None]) -> None:
        self._hse_hz = hse_hz
        self._notify = changed
        self._source = "HSI"
        self._oscillators = Oscillators(timeline, _STARTUP_US, self._update)
        self.rcc = Peripheral("RCC", 0x4002_3800, _RCC_RESET)
        self.pwr = Peripheral("PWR", 0x4000_7000, {CR1: 0xC000, CSR1: 0, CR2: 0, CSR2: 0})
        self.flash = Peripheral(
            "FLASH", 0x4002_3C00, {ACR: 0, 0x0C: 0, 0x10: 0x8000_0000, 0x14: 0xC0FF_AAFD, 0x18: 0x0040_0080}
        )
        self.rcc.readers = {CR: self._read_cr, CFGR: self._read_cfgr, CSR: self._read_csr, BDCR: self._read_bdcr}
        self.rcc.writers = {CR: self._write_cr, PLLCFGR: self._write_pllcfgr, CFGR: self._write_cfgr}
        self.rcc.writers[DCKCFGR2] = lambda value: self._store(self.rcc, DCKCFGR2, value)
        self.pwr.readers = {CSR1: self._read_csr1}
        self.pwr.writers = {CR1: self._write_cr1, CSR1: lambda _value: None}
        self.flash.writers = {ACR: self._write_acr, 0x10: self._write_flash_cr}
        self.reset()

    @property
    def peripherals(self) -> tuple[Peripheral, ...]:
        """RCC, PWR, FLASH."""
        return self.rcc, self.pwr, self.flash

    def reset(self) -> None:
        """HSI at 16 MHz, no wait states."""
        for peripheral in self.peripherals:
            peripheral.reset()
        self._source = "HSI"
        self._oscillators.reset("HSI")

    def enabled(self, register: str, bit: int) -> bool:
        """Is the bit of an enable register set?"""
        return bool(self.rcc.registers[ENABLES[register]] >> bit & 1)

    def pin_powered(self, port: str, number: int) -> str | None:
        """All pins of this chip are powered."""
        return None

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
        choice = self.rcc.registers[DCKCFGR2] >> position & 3
        apb = clocks.pclk1_hz if bus == 1 else clocks.pclk2_hz
        hsi = HSI_HZ if self._oscillators.is_ready("HSI") else 0
        return (apb, clocks.sysclk_hz, hsi, 32_768 if self.rcc.registers[BDCR] & 1 else 0)[choice]

    def _hz(self, source: str) -> int:
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

    def _store(self, peripheral: Peripheral, offset: int, value: int) -> None:
        peripheral.registers[offset] = value
        self._update()

    def _read_cr(self) -> int:
        ready = self._oscillators.is_ready
        return (
            self.rcc.registers[CR]
            | ready("HSI") << 1
            | ready("HSE") << 17
            | ready("PLL") << 25
            | ready("PLLI2S") << 27
            | ready("PLLSAI") << 29
        )

    def _write_cr(self, value: int) -> None:
        if value >> 24 & 1 and not self._oscillators.is_on("PLL"):
            self._check_pll()
        if not value & 1 and self._source == "HSI":
            value |= 1  # hardware keeps the source that it runs on
        if not value >> 24 & 1 and self._source == "PLL":
            value |= 1 << 24
        self.rcc.registers[CR] = value & 0x150D_00F9
        switch = self._oscillators.switch
        switch("HSI", bool(value & 1))
        switch("HSE", bool(value >> 16 & 1) and self._hse_hz is not None)
        switch("PLL", bool(value >> 24 & 1))
        switch("PLLI2S", bool(value >> 26 & 1))
        switch("PLLSAI", bool(value >> 28 & 1))
        self._update()

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

    def _write_pllcfgr(self, value: int) -> None:
        if self._oscillators.is_on("PLL") and value != self.rcc.registers[PLLCFGR]:
            raise SiliconError("writes RCC_PLLCFGR while the PLL is on; turn it off first")
        self.rcc.registers[PLLCFGR] = value

    def _read_cfgr(self) -> int:
        return self.rcc.registers[CFGR] & ~0xC | _SOURCES.index(self._source) << 2

    def _write_cfgr(self, value: int) -> None:
        self._store(self.rcc, CFGR, value & ~0xC)

    def _read_csr(self) -> int:
        value = self.rcc.registers[CSR]
        return value | (value & 1) << 1

    def _read_bdcr(self) -> int:
        value = self.rcc.registers[BDCR]
        return value | (value & 1) << 1

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

    def _update(self) -> None:
        """Follow SW once its source is ready, and check every limit."""
        wanted = self.rcc.registers[CFGR] & 3
        if wanted < len(_SOURCES) and self._oscillators.is_ready(_SOURCES[wanted]):
            self._source = _SOURCES[wanted]
        self._check()
        self._notify()

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
