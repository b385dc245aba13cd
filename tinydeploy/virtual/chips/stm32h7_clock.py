"""RCC, PWR, FLASH and SYSCFG.PWRCR of the STM32H743 (RM0433; limits of DS12110, revision V of the silicon)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from tinydeploy.virtual.chips.stm32_clock import CR, Stm32Clocks
from tinydeploy.virtual.clocktree import MHZ, Clocks, ahb_divider, apb_divider, mhz
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import Timeline

HSI_HZ = 64 * MHZ
# RCC
CFGR, D1CFGR, D2CFGR, D3CFGR, PLLCKSELR, PLLCFGR, PLL1DIVR, D2CCIP2R = (
    0x10, 0x18, 0x1C, 0x20, 0x28, 0x2C, 0x30, 0x54,
)  # fmt: skip
_ENABLES = {
    "AHB3ENR": 0xD4, "AHB1ENR": 0xD8, "AHB2ENR": 0xDC, "AHB4ENR": 0xE0, "APB3ENR": 0xE4, "APB1LENR": 0xE8,
    "APB1HENR": 0xEC, "APB2ENR": 0xF0, "APB4ENR": 0xF4,
}  # fmt: skip
_RCC_RESET = {
    CR: 0xA3, 0x04: 0x4000_0000, 0x08: 0, 0x0C: 0x2000_0000, CFGR: 0, D1CFGR: 0, D2CFGR: 0, D3CFGR: 0,
    PLLCKSELR: 0x0202_0200, PLLCFGR: 0x01FF_0000, PLL1DIVR: 0x0101_0280, 0x34: 0, 0x38: 0x0101_0280, 0x3C: 0,
    0x40: 0x0101_0280, 0x44: 0, 0x4C: 0, 0x50: 0, D2CCIP2R: 0, 0x58: 0, 0x60: 0, 0x64: 0, 0x68: 0, 0x70: 0, 0x74: 0,
}  # fmt: skip
_SWITCHES = {
    "HSI": (0, 2), "CSI": (7, 8), "HSI48": (12, 13), "HSE": (16, 17), "PLL1": (24, 25), "PLL2": (26, 27),
    "PLL3": (28, 29),
}  # fmt: skip
_PLL_SOURCES = ("HSI", "CSI", "HSE", None)
# PWR, SYSCFG, FLASH
CSR1, CR3, D3CR, PWRCR, ACR = 0x04, 0x0C, 0x18, 0x2C, 0x00
_STARTUP_US = {
    "HSI": 4, "CSI": 4, "HSI48": 5, "HSE": 2000, "PLL1": 100, "PLL2": 100, "PLL3": 100, "VOS": 40,
}  # fmt: skip
_LIMITS = {0: (480, 240, 120), 1: (400, 200, 100), 2: (300, 150, 75), 3: (200, 100, 50)}
# RM0433 "FLASH recommended number of wait states and programming delay": by scale, the highest AXI clock in MHz for
# wait states and WRHIGHFREQ of 0/0, 1/1, ...
_LATENCY = {
    0: ((70, 0, 0), (140, 1, 1), (185, 2, 1), (210, 2, 2), (225, 3, 2), (240, 4, 2)),
    1: ((70, 0, 0), (140, 1, 1), (185, 2, 1), (210, 2, 2), (225, 3, 2)),
    2: ((55, 0, 0), (110, 1, 1), (165, 2, 1), (225, 3, 2)),
    3: ((45, 0, 0), (90, 1, 1), (135, 2, 1), (180, 3, 2), (225, 4, 2)),
}
_APB2_UARTS = ("USART1", "USART6")


class Stm32H7Clocks(Stm32Clocks):
    """The H743's clock tree: HSI at 64 MHz, scale 3 and 7 wait states after reset.

    By scale: ``limits`` of core, AXI and APBs in MHz; ``latency``, the highest AXI clock with wait states and
    WRHIGHFREQ.
    """

    enables = _ENABLES
    switches = _SWITCHES
    startup_us = _STARTUP_US
    cr_mask = ~0x2A00_2504
    sources = ("HSI", "CSI", "HSE", "PLL1")
    first_source = "HSI"
    cfgr = CFGR
    sw_bits = 3
    pll = "PLL1"
    pll_output = (PLLCFGR, 16, "RCC_PLLCFGR.DIVP1EN")
    limits: ClassVar[Mapping[int, tuple[int, int, int]]] = _LIMITS
    latency: ClassVar[Mapping[int, tuple[tuple[int, int, int], ...]]] = _LATENCY

    def __init__(self, timeline: Timeline, hse_hz: int | None, changed: Callable[[], None]) -> None:
        self._supply_stated = False
        self.pwr = Peripheral("PWR", 0x5802_4800, {0x00: 0xF000_C000, CSR1: 0, 0x08: 0, CR3: 6, 0x10: 0, D3CR: 0x4000})
        self.flash = Peripheral("FLASH", 0x5200_2000, {ACR: 0x37, 0x0C: 0x31, 0x10: 0})
        self.syscfg = Peripheral("SYSCFG", 0x5800_0400, {0x04: 0, 0x20: 0, PWRCR: 0})
        rcc = Peripheral("RCC", 0x5802_4400, _RCC_RESET | dict.fromkeys(self.enables.values(), 0))
        super().__init__(timeline, hse_hz, changed, rcc, self.pwr, self.flash, self.syscfg)
        for offset in (PLLCKSELR, PLLCFGR, PLL1DIVR):
            rcc.writers[offset] = lambda value, offset=offset: self._write_pll(offset, value)  # type: ignore[misc]
        self._updating(rcc, D1CFGR, D2CFGR, D3CFGR, D2CCIP2R)
        self.pwr.readers = {
            CSR1: lambda: self._vos_ready << 13 | (self.pwr.registers[D3CR] & 0xC000),
            D3CR: lambda: self.pwr.registers[D3CR] & 0xC000 | self._vos_ready << 13,
        }
        self.pwr.writers = {CR3: self._write_cr3, D3CR: self._write_d3cr, CSR1: lambda _value: None}
        self.syscfg.writers = {PWRCR: self._write_pwrcr}
        self.flash.writers = {ACR: lambda value: self._store(self.flash, ACR, value & 0x3F)}
        self.reset()

    @property
    def clocks(self) -> Clocks:
        """Frequencies as the registers stand; hclk_hz is the core's."""
        registers = self.rcc.registers
        sysclk = self._hz(self._source)
        core = sysclk // ahb_divider(registers[D1CFGR] >> 8 & 0xF)
        axi = self._axi_hz(core)
        d2 = registers[D2CFGR]
        return Clocks(self._source, sysclk, core, axi // apb_divider(d2 >> 4 & 7), axi // apb_divider(d2 >> 8 & 7))

    def _axi_hz(self, core_hz: int) -> int:
        return core_hz // ahb_divider(self.rcc.registers[D1CFGR] & 0xF)

    def uart_clock_hz(self, name: str) -> int:
        """RCC_D2CCIP2R: after reset the APB clock, the only choice that is modelled; LPUART1 runs on APB4."""
        clocks = self.clocks
        if name == "LPUART1":
            return self._axi_hz(clocks.hclk_hz) // apb_divider(self.rcc.registers[D3CFGR] >> 4 & 7)
        first_bit = 3 if name in _APB2_UARTS else 0
        if self.rcc.registers[D2CCIP2R] >> first_bit & 7:
            raise SiliconError(f"chooses a clock for {name} in RCC_D2CCIP2R that the virtual board does not model")
        return clocks.pclk2_hz if name in _APB2_UARTS else clocks.pclk1_hz

    def _hz(self, source: str | None) -> int:
        if source == "PLL1":
            value = self.rcc.registers[PLL1DIVR]
            return self._pll_input_hz() * ((value & 0x1FF) + 1) // ((value >> 9 & 0x7F) + 1)
        if source == "HSI":
            return HSI_HZ >> (self.rcc.registers[CR] >> 3 & 3)
        return 4 * MHZ if source == "CSI" else self._hse_hz or 0

    def _pll_source(self) -> str | None:
        return _PLL_SOURCES[self.rcc.registers[PLLCKSELR] & 3]

    def _pll_input_hz(self) -> int:
        m = self.rcc.registers[PLLCKSELR] >> 4 & 0x3F
        return self._hz(self._pll_source()) // m if m else 0

    def _check_pll(self) -> None:
        """RM0433 RCC_PLLCFGR and RCC_PLL1DIVR; DS12110 "PLL characteristics"."""
        source = self._pll_source()
        if source is None or not self._oscillators.is_ready(source):
            raise SiliconError(f"turns PLL1 on while its source {source or '(none chosen)'} is not ready")
        config, divider = self.rcc.registers[PLLCFGR], self.rcc.registers[PLL1DIVR]
        pll_input, rge = self._pll_input_hz(), config >> 2 & 3
        low = 1 << rge
        if not low * MHZ <= pll_input <= 2 * low * MHZ:
            raise SiliconError(f"feeds PLL1 with {mhz(pll_input)}; PLL1RGE {rge} says {low} to {2 * low} MHz")
        bottom, top = (150, 420) if config >> 1 & 1 else (192, 960)
        vco = pll_input * ((divider & 0x1FF) + 1)
        if not bottom * MHZ <= vco <= top * MHZ:
            raise SiliconError(f"runs PLL1's VCO at {mhz(vco)}; it must be {bottom} to {top} MHz")
        if not divider >> 9 & 1:
            raise SiliconError("sets an odd divider in RCC_PLL1DIVR.DIVP1, which is not allowed")

    # The voltage: RM0433 "System supply startup" and "Voltage scaling".

    @property
    def _scale(self) -> int:
        scale = 4 - (self.pwr.registers[D3CR] >> 14 & 3)
        return 0 if scale == 1 and self.syscfg.registers[PWRCR] & 1 else scale

    def _write_cr3(self, value: int) -> None:
        if value & 1 or not value & 2:
            raise SiliconError("turns off the regulator in PWR_CR3 (LDOEN clear or BYPASS set), which powers this chip")
        self._supply_stated = True
        self.pwr.registers[CR3] = value

    def _write_d3cr(self, value: int) -> None:
        if not self._supply_stated:
            raise SiliconError("changes PWR_D3CR.VOS before the supply is stated in PWR_CR3, which has no effect")
        if not value >> 14 & 3:
            raise SiliconError("writes PWR_D3CR.VOS with 0, which is reserved")
        if self.syscfg.registers[PWRCR] & 1 and value & 0xC000 != 0xC000:
            raise SiliconError("leaves scale 1 while SYSCFG_PWRCR.ODEN is set; clear it first")
        self._settle(self.pwr, D3CR, value & 0xC000)

    def _write_pwrcr(self, value: int) -> None:
        if value & 1 and (self.pwr.registers[D3CR] & 0xC000 != 0xC000 or not self._vos_ready):
            raise SiliconError("sets SYSCFG_PWRCR.ODEN while the voltage is not at scale 1 and ready; wait for VOSRDY")
        self._settle(self.syscfg, PWRCR, value & 1)

    def _settle(self, peripheral: Peripheral, offset: int, value: int) -> None:
        if peripheral.registers[offset] != value:
            self._vos_changes(_STARTUP_US["VOS"])
        self._store(peripheral, offset, value)

    def _check(self) -> None:
        clocks, scale = self.clocks, self._scale
        core_top, axi_top, apb_top = (top * MHZ for top in self.limits[scale])
        axi = self._axi_hz(clocks.hclk_hz)
        if clocks.hclk_hz > core_top:
            raise SiliconError(f"runs the core at {mhz(clocks.hclk_hz)}, above the {mhz(core_top)} of scale {scale}")
        if clocks.hclk_hz > self.limits[3][0] * MHZ and not self._vos_ready:
            raise SiliconError("raises the clock before PWR_D3CR.VOSRDY; wait for it")
        if axi > axi_top:
            raise SiliconError(f"runs AXI at {mhz(axi)}, above the {mhz(axi_top)} of scale {scale}; set HPRE first")
        registers = self.rcc.registers
        buses = {
            "APB1": clocks.pclk1_hz,
            "APB2": clocks.pclk2_hz,
            "APB3": axi // apb_divider(registers[D1CFGR] >> 4 & 7),
            "APB4": axi // apb_divider(registers[D3CFGR] >> 4 & 7),
        }
        for name, hz in buses.items():
            # The chip itself starts with 64 MHz on every bus at scale 3.
            if hz > max(apb_top, HSI_HZ):
                raise SiliconError(f"runs {name} at {mhz(hz)}, above its {mhz(apb_top)}; set its prescaler first")
        self._check_flash(axi, scale)

    def _check_flash(self, axi: int, scale: int) -> None:
        latency, delay = self.flash.registers[ACR] & 0xF, self.flash.registers[ACR] >> 4 & 3
        for top, least, least_delay in self.latency[scale]:
            if axi <= top * MHZ:
                if latency < least or delay < least_delay:
                    raise SiliconError(
                        f"runs AXI at {mhz(axi)} with {latency} flash wait states and WRHIGHFREQ {delay}; FLASH_ACR "
                        f"must have at least {least} and {least_delay} at scale {scale}"
                    )
                return
        raise SiliconError(f"runs AXI at {mhz(axi)}, faster than the flash allows at scale {scale}")


class Stm32H7A3Clocks(Stm32H7Clocks):
    """The H7A3's clock tree (RM0455, DS13195): the H743's but for the enable bits, the voltage and the limits."""

    enables = {name: offset + 0x60 for name, offset in _ENABLES.items()}  # noqa: RUF012 - a constant of the class
    # DS13195 "General operating conditions".
    limits = {0: (280, 280, 140), 1: (225, 225, 113), 2: (160, 160, 80), 3: (88, 88, 44)}  # noqa: RUF012
    # RM0455 "FLASH recommended number of wait states and programming delay".
    latency = {  # noqa: RUF012
        0: ((44, 0, 0), (88, 1, 0), (132, 2, 0), (176, 3, 0), (220, 4, 0), (264, 5, 0), (280, 6, 0)),
        1: ((42, 0, 0), (84, 1, 0), (126, 2, 0), (168, 3, 0), (210, 4, 0), (225, 5, 0)),
        2: ((38, 0, 0), (76, 1, 0), (114, 2, 0), (152, 3, 0), (160, 4, 0)),
        3: ((22, 0, 0), (44, 1, 0), (66, 2, 0), (88, 3, 0)),
    }

    @property
    def _scale(self) -> int:
        return 3 - (self.pwr.registers[D3CR] >> 14 & 3)

    def _write_cr3(self, value: int) -> None:
        self.pwr.registers[CR3] = value  # the supply may be a step-down converter too

    def _write_d3cr(self, value: int) -> None:
        self._settle(self.pwr, D3CR, value & 0xC000)
