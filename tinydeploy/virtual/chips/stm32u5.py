"""STM32U575 without TrustZone (RM0456, DS13737): memory map, addresses, clock enable bits, UARTs and their pins."""

from __future__ import annotations

from tinydeploy.virtual.chips.chip import Chip, Region, Row, TimerPlace, uart
from tinydeploy.virtual.chips.stm32u5_clock import RESET_HZ, Stm32U5Clocks

KIB = 1024

_APB1 = (
    ("TIM2", 0x0000, 0), ("TIM3", 0x0400, 1), ("TIM4", 0x0800, 2), ("TIM5", 0x0C00, 3), ("TIM6", 0x1000, 4),
    ("TIM7", 0x1400, 5), ("WWDG", 0x2C00, 11), ("IWDG", 0x3000, None), ("SPI2", 0x3800, 14), ("USART2", 0x4400, 17),
    ("USART3", 0x4800, 18), ("UART4", 0x4C00, 19), ("UART5", 0x5000, 20), ("I2C1", 0x5400, 21), ("I2C2", 0x5800, 22),
    ("CRS", 0x6000, 24),
)  # fmt: skip
_APB2 = (
    ("TIM1", 0x2C00, 11), ("SPI1", 0x3000, 12), ("TIM8", 0x3400, 13), ("USART1", 0x3800, 14), ("TIM15", 0x4000, 16),
    ("TIM16", 0x4400, 17), ("TIM17", 0x4800, 18), ("SAI1", 0x5400, 21), ("SAI2", 0x5800, 22),
)  # fmt: skip
_PORTS = "ABCDEFGHI"
# RM0456 "Memory map and register boundary addresses", the non-secure ones, and the RCC's enable registers.
_ROWS = (
    *(Row(name, 0x4000_0000 + offset, 0x400, "APB1ENR1", bit) for name, offset, bit in _APB1),
    *(Row(name, 0x4001_0000 + offset, 0x400, "APB2ENR", bit) for name, offset, bit in _APB2),
    *(Row(f"GPIO{port}", 0x4202_0000 + 0x400 * bit, 0x400, "AHB2ENR1", bit) for bit, port in enumerate(_PORTS)),
    Row("GPDMA1", 0x4002_0000, 0x1000, "AHB1ENR", 0),
    Row("FLASH", 0x4002_2000, 0x400, "AHB1ENR", 8),
    Row("CRC", 0x4002_3000, 0x400, "AHB1ENR", 12),
    Row("ICACHE", 0x4003_0400),
    Row("ADC1", 0x4202_8000, 0x400, "AHB2ENR1", 10),
    Row("OTG_FS", 0x4204_0000, 0x40000, "AHB2ENR1", 14),
    Row("RNG", 0x420C_0800, 0x400, "AHB2ENR1", 18),
    Row("SYSCFG", 0x4600_0400, 0x400, "APB3ENR", 1),
    Row("PWR", 0x4602_0800, 0x400, "AHB3ENR", 2),
    Row("RCC", 0x4602_0C00),
    Row("EXTI", 0x4602_2000),
    Row("DBGMCU", 0xE004_4000),
)
# RM0456 "Interrupt and exception vectors"; DS13737 "Alternate function".
_UARTS = (
    uart("USART1", 61, 7, tx="A9 B6 G9", rx="A10 B7 G10", fifo=True),
    uart("USART2", 62, 7, tx="A2 D5", rx="A3 D6", fifo=True),
    uart("USART3", 63, 7, tx="B10 C4 C10 D8", rx="B11 C5 C11 D9", fifo=True),
    uart("UART4", 64, 8, tx="A0 C10", rx="A1 C11", fifo=True),
    uart("UART5", 65, 8, tx="C12", rx="D2", fifo=True),
)

STM32U575 = Chip(
    part="STM32U575",
    title="STM32U575",
    core_name="m33",
    irq_count=126,  # RM0456: positions 0 to 125
    # RM0456 "Embedded SRAMs": SRAM1 192 KiB, SRAM2 64 KiB, SRAM3 512 KiB, one after the other; SRAM4 apart.
    regions=(
        Region("flash", 0x0800_0000, 2048 * KIB, writable=False),
        Region("SRAM", 0x2000_0000, 768 * KIB, writable=True),
        Region("SRAM4", 0x2800_0000, 16 * KIB, writable=True),
        Region("system memory", 0x0BF9_0000, 32 * KIB, writable=False),
    ),
    rows=_ROWS,
    gpio_ports=_PORTS,
    # RM0456 GPIOx_MODER, OSPEEDR, PUPDR: analog, but for the debug port's pins.
    gpio_reset={
        "A": {0x00: 0xABFF_FFFF, 0x08: 0x0800_0000, 0x0C: 0x6400_0000},
        "B": {0x00: 0xFFFF_FEBF, 0x08: 0x80, 0x0C: 0x100},
        **{port: {0x00: 0xFFFF_FFFF} for port in "CDEFGHI"},
    },
    uarts=_UARTS,
    timers=tuple(TimerPlace(f"TIM{number}", 43 + number, 32) for number in (2, 3, 4, 5)),
    boot_address=0x0800_0000,  # RM0456 "Boot configuration": NSBOOTADD0 as delivered, TZEN clear
    reset_hz=RESET_HZ,
    control=Stm32U5Clocks,
)
