"""STM32H743 (RM0433, DS12110): memory map, register boundary addresses, clock enable bits, UARTs and their pins."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.virtual.chips.chip import Chip, Region, Row, TimerPlace, uart
from tinydeploy.virtual.chips.stm32h7_clock import HSI_HZ, Stm32H7A3Clocks, Stm32H7Clocks

KIB = 1024

# RM0433 "Memory organization"; the SRAMs of domain 2 need their clocks and are left out.
_REGIONS = (
    Region("flash", 0x0800_0000, 2048 * KIB, writable=False),
    Region("ITCM", 0x0000_0000, 64 * KIB, writable=True),
    Region("DTCM", 0x2000_0000, 128 * KIB, writable=True),
    Region("AXI SRAM", 0x2400_0000, 512 * KIB, writable=True),
    Region("SRAM4", 0x3800_0000, 64 * KIB, writable=True),
    Region("system memory", 0x1FF0_0000, 128 * KIB, writable=False),
)
# RM0433 "Register boundary addresses" and the RCC's enable registers.
_APB1 = (
    ("TIM2", 0x0000, 0), ("TIM3", 0x0400, 1), ("TIM4", 0x0800, 2), ("TIM5", 0x0C00, 3), ("TIM6", 0x1000, 4),
    ("TIM7", 0x1400, 5), ("TIM12", 0x1800, 6), ("TIM13", 0x1C00, 7), ("TIM14", 0x2000, 8), ("LPTIM1", 0x2400, 9),
    ("SPI2", 0x3800, 14), ("SPI3", 0x3C00, 15), ("SPDIFRX", 0x4000, 16), ("USART2", 0x4400, 17), ("USART3", 0x4800, 18),
    ("UART4", 0x4C00, 19), ("UART5", 0x5000, 20), ("I2C1", 0x5400, 21), ("I2C2", 0x5800, 22), ("I2C3", 0x5C00, 23),
    ("CEC", 0x6C00, 27), ("DAC1", 0x7400, 29), ("UART7", 0x7800, 30), ("UART8", 0x7C00, 31),
)  # fmt: skip
_APB2 = (
    ("TIM1", 0x0000, 0), ("TIM8", 0x0400, 1), ("USART1", 0x1000, 4), ("USART6", 0x1400, 5), ("SPI1", 0x3000, 12),
    ("SPI4", 0x3400, 13), ("TIM15", 0x4000, 16), ("TIM16", 0x4400, 17), ("TIM17", 0x4800, 18), ("SPI5", 0x5000, 20),
    ("SAI1", 0x5800, 22), ("SAI2", 0x5C00, 23), ("SAI3", 0x6000, 24), ("DFSDM1", 0x7000, 28), ("HRTIM1", 0x7400, 29),
)  # fmt: skip
_PORTS = "ABCDEFGHIJK"
_ROWS = (
    *(Row(name, 0x4000_0000 + offset, 0x400, "APB1LENR", bit) for name, offset, bit in _APB1),
    *(Row(name, 0x4001_0000 + offset, 0x400, "APB2ENR", bit) for name, offset, bit in _APB2),
    *(Row(f"GPIO{port}", 0x5802_0000 + 0x400 * bit, 0x400, "AHB4ENR", bit) for bit, port in enumerate(_PORTS)),
    Row("DMA1", 0x4002_0000, 0x400, "AHB1ENR", 0),
    Row("DMA2", 0x4002_0400, 0x400, "AHB1ENR", 1),
    Row("RNG", 0x4802_1800, 0x400, "AHB2ENR", 6),
    Row("MDMA", 0x5200_0000, 0x1000, "AHB3ENR", 0),
    Row("FLASH", 0x5200_2000, 0x1000),
    Row("FMC", 0x5200_4000, 0x1000, "AHB3ENR", 12),
    Row("QUADSPI", 0x5200_5000, 0x1000, "AHB3ENR", 14),
    Row("EXTI", 0x5800_0000),
    Row("SYSCFG", 0x5800_0400, 0x400, "APB4ENR", 1),
    Row("LPUART1", 0x5800_0C00, 0x400, "APB4ENR", 3),
    Row("RCC", 0x5802_4400),
    Row("PWR", 0x5802_4800),
    Row("CRC", 0x5802_4C00, 0x400, "AHB4ENR", 19),
    Row("DBGMCU", 0x5C00_1000, 0x1000),
)
# RM0433 "NVIC: vector table"; DS12110 "Pin alternate functions", those that UARTs share (AF7, AF8).
_UARTS = (
    uart("USART1", 37, 7, tx="A9 B6", rx="A10 B7", fifo=True),
    uart("USART2", 38, 7, tx="A2 D5", rx="A3 D6", fifo=True),
    uart("USART3", 39, 7, tx="B10 C10 D8", rx="B11 C11 D9", fifo=True),
    uart("UART4", 52, 8, tx="A0 B9 C10 D1 H13", rx="A1 B8 C11 D0 H14 I9", fifo=True),
    uart("UART5", 53, 8, tx="C12", rx="D2", fifo=True),
    uart("UART8", 83, 8, tx="E1 J8", rx="E0 J9", fifo=True),
    uart("LPUART1", 142, 3, tx="A9", rx="A10", fifo=True, low_power=True),
)

STM32H743 = Chip(
    part="STM32H743",
    title="STM32H743",
    core_name="m7",
    irq_count=150,
    regions=_REGIONS,
    rows=_ROWS,
    gpio_ports=_PORTS,
    # RM0433 GPIOx_MODER, OSPEEDR, PUPDR: analog, but for the debug port's pins.
    gpio_reset={
        "A": {0x00: 0xABFF_FFFF, 0x08: 0x0C00_0000, 0x0C: 0x6400_0000},
        "B": {0x00: 0xFFFF_FEBF, 0x08: 0xC0, 0x0C: 0x100},
        **{port: {0x00: 0xFFFF_FFFF} for port in "CDEFGHIJK"},
    },
    uarts=_UARTS,
    timers=(TimerPlace("TIM2", 28, 32), TimerPlace("TIM3", 29), TimerPlace("TIM4", 30), TimerPlace("TIM5", 50, 32)),
    boot_address=0x0800_0000,  # RM0433 "Boot configuration": BOOT_ADD0 as delivered
    reset_hz=HSI_HZ,
    control=Stm32H7Clocks,
)
STM32H7A3 = replace(
    STM32H743,
    part="STM32H7A3",
    title="STM32H7A3",
    irq_count=155,
    # RM0455 "Memory organization".
    regions=(
        Region("flash", 0x0800_0000, 2048 * KIB, writable=False),
        Region("ITCM", 0x0000_0000, 64 * KIB, writable=True),
        Region("DTCM", 0x2000_0000, 128 * KIB, writable=True),
        Region("AXI SRAM", 0x2400_0000, 1024 * KIB, writable=True),
        Region("AHB SRAM", 0x3000_0000, 128 * KIB, writable=True),
        Region("SRD SRAM", 0x3800_0000, 32 * KIB, writable=True),
        Region("system memory", 0x1FF0_0000, 128 * KIB, writable=False),
    ),
    control=Stm32H7A3Clocks,
)
