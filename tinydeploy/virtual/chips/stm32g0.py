"""STM32G0B1 (RM0444, DS13560): memory map, register boundary addresses, clock enable bits, UARTs and their pins."""

from __future__ import annotations

from tinydeploy.virtual.chips.chip import Chip, Region, Row, TimerPlace, uart
from tinydeploy.virtual.chips.stm32_clock import HSI_HZ
from tinydeploy.virtual.chips.stm32_memory import KIB, boot_memory
from tinydeploy.virtual.chips.stm32g0_clock import Stm32G0Clocks

# RM0444 "Memory map and register boundary addresses" and the RCC's enable registers.
_APB1 = (
    ("TIM2", 0x0000, 0), ("TIM3", 0x0400, 1), ("TIM4", 0x0800, 2), ("TIM6", 0x1000, 4), ("TIM7", 0x1400, 5),
    ("RTC", 0x2800, 10), ("WWDG", 0x2C00, 11), ("IWDG", 0x3000, None), ("SPI2", 0x3800, 14), ("SPI3", 0x3C00, 15),
    ("USART2", 0x4400, 17), ("USART3", 0x4800, 18), ("I2C1", 0x5400, 21), ("I2C2", 0x5800, 22), ("USB", 0x5C00, 13),
    ("FDCAN1", 0x6400, 12), ("CRS", 0x6C00, 16), ("PWR", 0x7000, 28), ("DAC", 0x7400, 29), ("CEC", 0x7800, 24),
    ("LPTIM1", 0x7C00, 31), ("LPUART1", 0x8000, 20), ("LPUART2", 0x8400, 7), ("I2C3", 0x8800, 23),
    ("LPTIM2", 0x9400, 30), ("TAMP", 0xB000, 10),
)  # fmt: skip
_APB2 = (
    ("SYSCFG", 0x0000, 0), ("ADC", 0x2400, 20), ("TIM1", 0x2C00, 11), ("SPI1", 0x3000, 12), ("USART1", 0x3800, 14),
    ("TIM15", 0x4000, 16), ("TIM16", 0x4400, 17), ("TIM17", 0x4800, 18), ("DBG", 0x5800, None),
)  # fmt: skip
_PORTS = "ABCDEF"
_ROWS = (
    *(Row(name, 0x4000_0000 + offset, 0x400, "APBENR1", bit) for name, offset, bit in _APB1),
    *(Row(name, 0x4001_0000 + offset, 0x400, "APBENR2", bit) for name, offset, bit in _APB2),
    *(Row(f"GPIO{port}", 0x5000_0000 + 0x400 * bit, 0x400, "IOPENR", bit) for bit, port in enumerate(_PORTS)),
    Row("DMA1", 0x4002_0000, 0x400, "AHBENR", 0),
    Row("DMA2", 0x4002_0400, 0x400, "AHBENR", 1),
    Row("RCC", 0x4002_1000),
    Row("EXTI", 0x4002_1800),
    Row("FLASH", 0x4002_2000, 0x400, "AHBENR", 8),
    Row("CRC", 0x4002_3000, 0x400, "AHBENR", 12),
    Row("RNG", 0x4002_5000, 0x400, "AHBENR", 18),
)

STM32G0B1 = Chip(
    part="STM32G0B1",
    title="STM32G0B1",
    core_name="m0plus",
    irq_count=32,  # RM0444 "Vector table": positions 0 to 31
    regions=(
        *boot_memory(flash_kib=512, system_kib=28),
        Region("SRAM", 0x2000_0000, 144 * KIB, writable=True),
    ),
    rows=_ROWS,
    gpio_ports=_PORTS,
    # RM0444 GPIOx_MODER, OSPEEDR, PUPDR: analog, but for the debug port's pins.
    gpio_reset={
        "A": {0x00: 0xEBFF_FFFF, 0x08: 0x0C00_0000, 0x0C: 0x2400_0000},
        **{port: {0x00: 0xFFFF_FFFF} for port in "BCDEF"},
    },
    # RM0444 "Vector table"; DS13560 "alternate functions".
    uarts=(
        uart("USART1", 27, 1, tx="A9 C4", rx="A10 C5", fifo=True),
        uart("USART2", 28, 1, tx="A2 A14", rx="A3 A15", fifo=True),
    ),
    timers=(
        TimerPlace("TIM2", 15, 32),
        TimerPlace("TIM3", 16),
        TimerPlace("TIM6", 17),
        TimerPlace("TIM7", 18),
        TimerPlace("TIM15", 20),
        TimerPlace("TIM16", 21),
        TimerPlace("TIM17", 22),
    ),
    boot_address=0,
    reset_hz=HSI_HZ,
    control=Stm32G0Clocks,
)
