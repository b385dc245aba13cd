"""RCC, PWR and FLASH of the STM32F405/F407 (RM0090, DS8626) and F411 (RM0383, DS10314), at 2.7 to 3.6 V.

The RCC is that of the F7 but for the UARTs' clocks; the regulator has no over-drive.
"""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.chips.stm32f7_clock import ACR, CSR1, Limits, Stm32F7Clocks
from tinydeploy.virtual.clocktree import MHZ
from tinydeploy.virtual.peripheral import SiliconError
from tinydeploy.virtual.timeline import Timeline

CR = 0x00  # PWR
_VOSRDY = 1 << 14
_APB2_UARTS = ("USART1", "USART6")


class Stm32F4Clocks(Stm32F7Clocks):
    """``scales``: the regulator's scales by PWR_CR.VOS, with the highest HCLK in MHz. ``apb1_mhz`` and ``apb2_mhz``."""

    scales: dict[int, tuple[int, int]]  # VOS -> (scale, MHz)
    vos_mask: int
    vos_reset: int
    apb1_mhz: int
    apb2_mhz: int
    latency_mask: int

    def __init__(self, timeline: Timeline, hse_hz: int | None, changed: Callable[[], None]) -> None:
        super().__init__(timeline, hse_hz, changed)
        self.pwr.readers = {CSR1: lambda: _VOSRDY if self._oscillators.is_ready("PLL") else 0}
        self.pwr.writers = {CR: self._write_pwr_cr, CSR1: lambda _value: None}
        self.reset()

    def reset(self) -> None:
        """HSI at 16 MHz, no wait states."""
        super().reset()
        self.pwr.registers[CR] = self.vos_reset << 14

    def uart_clock_hz(self, name: str) -> int:
        """The clock of the APB that the UART is on."""
        return self.clocks.pclk2_hz if name in _APB2_UARTS else self.clocks.pclk1_hz

    def _write_pwr_cr(self, value: int) -> None:
        vos, before = value >> 14 & 3, self.pwr.registers[CR] >> 14 & 3
        if vos & ~self.vos_mask:
            raise SiliconError("sets bit 15 of PWR_CR, which is reserved here: VOS is bit 14 alone")
        if vos not in self.scales:
            raise SiliconError(f"sets PWR_CR.VOS to {vos}, which is reserved")
        if vos != before and self._oscillators.is_on("PLL"):
            raise SiliconError("changes PWR_CR.VOS while the PLL is on; turn it off first")
        self._store(self.pwr, CR, value)

    def _write_acr(self, value: int) -> None:
        self._store(self.flash, ACR, value & (0x1F00 | self.latency_mask))

    def _limits(self) -> Limits:
        scale, top = self.scales[self.pwr.registers[CR] >> 14 & 3]
        return Limits(top * MHZ, top * MHZ, self.apb1_mhz * MHZ, self.apb2_mhz * MHZ, f"regulator scale {scale}")


class Stm32F407Clocks(Stm32F4Clocks):
    """RM0090 PWR_CR: VOS is one bit, scale 1 after reset."""

    scales = {1: (1, 168), 0: (2, 144)}  # noqa: RUF012 - a constant of the class
    vos_mask, vos_reset = 1, 1
    apb1_mhz, apb2_mhz = 42, 84
    latency_mask = 7


class Stm32F411Clocks(Stm32F4Clocks):
    """RM0383 PWR_CR: VOS is two bits, scale 2 after reset."""

    scales = {3: (1, 100), 2: (2, 84), 1: (3, 64)}  # noqa: RUF012 - a constant of the class
    vos_mask, vos_reset = 3, 2
    apb1_mhz, apb2_mhz = 50, 100
    latency_mask = 15
