"""The UARTs that have a driver: what their baud rate divider holds.

``divider = clock * scale / baud``, rounded; a UART with ``rates`` has no divider but a register value per baud rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinydeploy.stricttoml import Table

_MAX_BAUD_ERROR = 0.01


@dataclass(frozen=True, slots=True)
class UartDriver:
    """``firmware_templates/drivers/<file>``; the divider's name, its lowest and highest value, and its fixed point.

    ``includes``: what that file includes from the same folder.
    """

    file: str
    register: str
    low: int = 0
    high: int = 0
    scale: int = 1
    rates: Mapping[int, int] = field(default_factory=dict)
    includes: tuple[str, ...] = ()

    def divider(self, table: Table, name: str, clock_hz: int, baud: int) -> int:
        """The value for `baud`, at most 1 % off. Raises BoardError."""
        if self.rates:
            if baud not in self.rates:
                known = ", ".join(f"{rate:,}" for rate in self.rates)
                raise table.error(f"baud is {baud:,}; {name} has {known}")
            return self.rates[baud]
        value = (clock_hz * self.scale + baud // 2) // baud
        if not self.low <= value <= self.high:
            raise table.error(
                f"baud {baud:,} needs {self.register} {value:#x} at {clock_hz:,} Hz; "
                f"{name} has {self.low:#x} to {self.high:#x}"
            )
        off = abs(clock_hz * self.scale / value / baud - 1)
        if off > _MAX_BAUD_ERROR:
            raise table.error(f"baud {baud:,} would be off by {off:.1%} at {clock_hz:,} Hz; at most 1 % works")
        return value


_STM32 = ("uart_stm32_usart.h",)
UART_DRIVERS: dict[str, UartDriver] = {
    # RM0090 USART_BRR: 12 bits and 4 of fraction (oversampling by 16).
    "stm32_usart_v1": UartDriver("uart_stm32_usart_v1.h", "BRR", 16, 0xFFFF, includes=_STM32),
    # RM0385 USART_BRR: at least 16, 16 bits (oversampling by 16).
    "stm32_usart_v2": UartDriver("uart_stm32_usart_v2.h", "BRR", 16, 0xFFFF, includes=_STM32),
    # Arm DDI 0479 APB UART BAUDDIV: 20 bits, at least 16.
    "cmsdk": UartDriver("uart_cmsdk.h", "BAUDDIV", 16, 0xFFFFF),
    # Arm DDI 0183 UARTIBRD and UARTFBRD: 16 bits and 6 of fraction of clock / (16 * baud).
    "pl011": UartDriver("uart_pl011.h", "IBRD and FBRD", 64, 0xFFFF << 6, 4),
    # nRF52840 Product Specification, UART BAUDRATE: a value per rate, all within 1 %.
    "nrf52_uart": UartDriver(
        "uart_nrf52.h",
        "BAUDRATE",
        rates={
            9_600: 0x0027_5000,
            19_200: 0x004E_A000,
            38_400: 0x009D_5000,
            57_600: 0x00EB_F000,
            115_200: 0x01D7_E000,
            230_400: 0x03AF_B000,
            460_800: 0x075F_7000,
            921_600: 0x0EBE_D000,
            1_000_000: 0x1000_0000,
        },
    ),
    # RM0432 LPUART_BRR: 256 * clock / baud, 0x300 to 0xFFFFF.
    "stm32_lpuart": UartDriver("uart_stm32_usart_v2.h", "BRR", 0x300, 0xFFFFF, 256, includes=_STM32),
}
