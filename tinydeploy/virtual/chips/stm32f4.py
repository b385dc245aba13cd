"""STM32F407 (RM0090, DS8626) and F411 (RM0383, DS10314): memory map, registers' addresses, enable bits, UARTs."""

from __future__ import annotations

from typing import Any

from tinydeploy.virtual.chips.chip import Chip, Region, Row, TimerPlace, UartPlace, uart
from tinydeploy.virtual.chips.stm32_clock import HSI_HZ
from tinydeploy.virtual.chips.stm32_memory import KIB, boot_memory
from tinydeploy.virtual.chips.stm32f4_clock import Stm32F407Clocks, Stm32F411Clocks

Places = tuple[tuple[str, int, int | None], ...]

# "Register boundary addresses" and the RCC's enable registers.
_APB1: Places = (
    ("TIM2", 0x0000, 0), ("TIM3", 0x0400, 1), ("TIM4", 0x0800, 2), ("TIM5", 0x0C00, 3), ("RTC", 0x2800, None),
    ("WWDG", 0x2C00, 11), ("IWDG", 0x3000, None), ("SPI2", 0x3800, 14), ("SPI3", 0x3C00, 15), ("USART2", 0x4400, 17),
    ("I2C1", 0x5400, 21), ("I2C2", 0x5800, 22), ("I2C3", 0x5C00, 23), ("PWR", 0x7000, 28),
)  # fmt: skip
_APB1_F407: Places = (
    ("TIM6", 0x1000, 4), ("TIM7", 0x1400, 5), ("TIM12", 0x1800, 6), ("TIM13", 0x1C00, 7), ("TIM14", 0x2000, 8),
    ("USART3", 0x4800, 18), ("UART4", 0x4C00, 19), ("UART5", 0x5000, 20), ("CAN1", 0x6400, 25), ("CAN2", 0x6800, 26),
    ("DAC", 0x7400, 29),
)  # fmt: skip
_APB2: Places = (
    ("TIM1", 0x0000, 0), ("USART1", 0x1000, 4), ("USART6", 0x1400, 5), ("ADC", 0x2000, 8), ("SDIO", 0x2C00, 11),
    ("SPI1", 0x3000, 12), ("SYSCFG", 0x3800, 14), ("EXTI", 0x3C00, None), ("TIM9", 0x4000, 16), ("TIM10", 0x4400, 17),
    ("TIM11", 0x4800, 18),
)  # fmt: skip
_APB2_F407: Places = (("TIM8", 0x0400, 1),)
_APB2_F411: Places = (("SPI4", 0x3400, 13), ("SPI5", 0x5000, 20))
_PORTS = "ABCDEFGHI"


def _rows(apb1: Places, apb2: Places, ports: str) -> tuple[Row, ...]:
    return (
        *(Row(name, 0x4000_0000 + offset, 0x400, "APB1ENR", bit) for name, offset, bit in apb1),
        *(Row(name, 0x4001_0000 + offset, 0x400, "APB2ENR", bit) for name, offset, bit in apb2),
        *(
            Row(f"GPIO{port}", 0x4002_0000 + 0x400 * _PORTS.index(port), 0x400, "AHB1ENR", _PORTS.index(port))
            for port in ports
        ),
        Row("CRC", 0x4002_3000, 0x400, "AHB1ENR", 12),
        Row("RCC", 0x4002_3800),
        Row("FLASH", 0x4002_3C00),
        Row("DMA1", 0x4002_6000, 0x400, "AHB1ENR", 21),
        Row("DMA2", 0x4002_6400, 0x400, "AHB1ENR", 22),
        Row("OTG_FS", 0x5000_0000, 0x40000, "AHB2ENR", 7),
        Row("DBGMCU", 0xE004_2000),
    )


def _usart(name: str, irq: int, function: int, tx: str, rx: str) -> UartPlace:
    return uart(name, irq, function, tx=tx, rx=rx, kind="usart_v1")


# "Vector table" of the manuals; "Alternate function mapping" of the data sheets.
_UARTS_F407 = (
    _usart("USART1", 37, 7, "A9 B6", "A10 B7"),
    _usart("USART2", 38, 7, "A2 D5", "A3 D6"),
    _usart("USART3", 39, 7, "B10 C10 D8", "B11 C11 D9"),
    _usart("UART4", 52, 8, "A0 C10", "A1 C11"),
    _usart("UART5", 53, 8, "C12", "D2"),
    _usart("USART6", 71, 8, "C6 G14", "C7 G9"),
)
_UARTS_F411 = (
    _usart("USART1", 37, 7, "A9 A15 B6", "A10 B3 B7"),
    _usart("USART2", 38, 7, "A2 D5", "A3 D6"),
    _usart("USART6", 71, 8, "A11 C6", "A12 C7"),
)
# GPIOx_MODER, OSPEEDR, PUPDR: the debug port's pins.
_GPIO_RESET = {
    "A": {0x00: 0xA800_0000, 0x08: 0x0C00_0000, 0x0C: 0x6400_0000},
    "B": {0x00: 0x280, 0x08: 0xC0, 0x0C: 0x100},
}


def _chip(part: str, irq_count: int, flash_kib: int, ccm: tuple[Region, ...], ports: str, **its_own: Any) -> Chip:
    """ "Embedded SRAM" and "Memory map": 128 KiB of SRAM; at 0 the boot memory."""
    return Chip(
        part=part,
        title=part,
        core_name="m4",
        irq_count=irq_count,
        regions=(
            *boot_memory(flash_kib, system_kib=30),
            Region("SRAM", 0x2000_0000, 128 * KIB, writable=True),
            *ccm,
        ),
        gpio_ports=ports,
        gpio_reset=_GPIO_RESET,
        timers=(TimerPlace("TIM2", 28, 32), TimerPlace("TIM3", 29), TimerPlace("TIM4", 30), TimerPlace("TIM5", 50, 32)),
        boot_address=0,
        reset_hz=HSI_HZ,
        **its_own,
    )


STM32F407 = _chip(
    "STM32F407",
    82,  # RM0090 "Vector table": positions 0 to 81
    1024,
    (Region("CCM", 0x1000_0000, 64 * KIB, writable=True),),
    _PORTS,
    rows=_rows(_APB1 + _APB1_F407, _APB2 + _APB2_F407, _PORTS),
    uarts=_UARTS_F407,
    control=Stm32F407Clocks,
)
STM32F411 = _chip(
    "STM32F411",
    86,  # RM0383 "Vector table": positions 0 to 85
    512,
    (),
    "ABCDEH",
    rows=_rows(_APB1, _APB2 + _APB2_F411, "ABCDEH"),
    uarts=_UARTS_F411,
    control=Stm32F411Clocks,
)
