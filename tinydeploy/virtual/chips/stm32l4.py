"""STM32L4R5 (RM0432, DS12023) and L476 (RM0351, DS10198): memory map, addresses, enable bits, UARTs and pins."""

from __future__ import annotations

from tinydeploy.virtual.chips.chip import Chip, Region, Row, TimerPlace, uart
from tinydeploy.virtual.chips.stm32_memory import KIB, boot_memory
from tinydeploy.virtual.chips.stm32l4_clock import Stm32L4Clocks, Stm32L4PlusClocks

# RM0432 "Memory organization"; at 0 the boot memory, which is flash; SRAM2 also at 0x10000000.
_REGIONS = (
    *boot_memory(flash_kib=2048, system_kib=31),
    Region("SRAM", 0x2000_0000, 640 * KIB, writable=True),
    Region("SRAM2", 0x1000_0000, 64 * KIB, writable=True, alias_of="SRAM", alias_offset=192 * KIB),
)
# RM0432 "Memory map and register boundary addresses" and the RCC's enable registers.
_APB1 = (
    ("TIM2", 0x0000, 0), ("TIM3", 0x0400, 1), ("TIM4", 0x0800, 2), ("TIM5", 0x0C00, 3), ("TIM6", 0x1000, 4),
    ("TIM7", 0x1400, 5), ("RTC", 0x2800, None), ("WWDG", 0x2C00, 11), ("IWDG", 0x3000, None), ("SPI2", 0x3800, 14),
    ("SPI3", 0x3C00, 15), ("USART2", 0x4400, 17), ("USART3", 0x4800, 18), ("UART4", 0x4C00, 19), ("UART5", 0x5000, 20),
    ("I2C1", 0x5400, 21), ("I2C2", 0x5800, 22), ("I2C3", 0x5C00, 23), ("CRS", 0x6000, 24), ("CAN1", 0x6400, 25),
    ("PWR", 0x7000, 28), ("DAC1", 0x7400, 29), ("OPAMP", 0x7800, 30), ("LPTIM1", 0x7C00, 31),
)  # fmt: skip
_APB2 = (
    ("SYSCFG", 0x0000, 0), ("EXTI", 0x0400, None), ("FIREWALL", 0x1C00, 7), ("TIM1", 0x2C00, 11), ("SPI1", 0x3000, 12),
    ("TIM8", 0x3400, 13), ("USART1", 0x3800, 14), ("TIM15", 0x4000, 16), ("TIM16", 0x4400, 17), ("TIM17", 0x4800, 18),
    ("SAI1", 0x5400, 21), ("SAI2", 0x5800, 22), ("DFSDM1", 0x6000, 24), ("LTDC", 0x6800, 26), ("DSIHOST", 0x6C00, 27),
)  # fmt: skip
_ROWS = (
    *(Row(name, 0x4000_0000 + offset, 0x400, "APB1ENR1", bit) for name, offset, bit in _APB1),
    Row("LPUART1", 0x4000_8000, 0x400, "APB1ENR2", 0),
    Row("I2C4", 0x4000_8400, 0x400, "APB1ENR2", 1),
    Row("LPTIM2", 0x4000_9400, 0x400, "APB1ENR2", 5),
    *(Row(name, 0x4001_0000 + offset, 0x400, "APB2ENR", bit) for name, offset, bit in _APB2),
    Row("DMA1", 0x4002_0000, 0x400, "AHB1ENR", 0),
    Row("DMA2", 0x4002_0400, 0x400, "AHB1ENR", 1),
    Row("DMAMUX1", 0x4002_0800, 0x400, "AHB1ENR", 2),
    Row("RCC", 0x4002_1000),
    Row("FLASH", 0x4002_2000, 0x400, "AHB1ENR", 8),
    Row("CRC", 0x4002_3000, 0x400, "AHB1ENR", 12),
    Row("TSC", 0x4002_4000, 0x400, "AHB1ENR", 16),
    Row("DMA2D", 0x4002_B000, 0xC00, "AHB1ENR", 17),
    Row("GFXMMU", 0x4002_C000, 0x3000, "AHB1ENR", 18),
    *(Row(f"GPIO{port}", 0x4800_0000 + 0x400 * bit, 0x400, "AHB2ENR", bit) for bit, port in enumerate("ABCDEFGHI")),
    Row("OTG_FS", 0x5000_0000, 0x40000, "AHB2ENR", 12),
    Row("ADC", 0x5004_0000, 0x400, "AHB2ENR", 13),
    Row("DCMI", 0x5005_0000, 0x400, "AHB2ENR", 14),
    Row("AES", 0x5006_0000, 0x400, "AHB2ENR", 16),
    Row("HASH", 0x5006_0400, 0x400, "AHB2ENR", 17),
    Row("RNG", 0x5006_0800, 0x400, "AHB2ENR", 18),
    Row("OCTOSPIM", 0x5006_1C00, 0x400, "AHB2ENR", 20),
    Row("SDMMC1", 0x5006_2400, 0x400, "AHB2ENR", 22),
    Row("FMC", 0xA000_0000, 0x400, "AHB3ENR", 0),
    Row("OCTOSPI1", 0xA000_1000, 0x400, "AHB3ENR", 8),
    Row("OCTOSPI2", 0xA000_1400, 0x400, "AHB3ENR", 9),
    Row("DBGMCU", 0xE004_2000),
)
# RM0432 "Interrupt and exception vectors"; DS12023 "Alternate function".
_UARTS = (
    uart("USART1", 37, 7, tx="A9 B6 G9", rx="A10 B7 G10", fifo=True),
    uart("USART2", 38, 7, tx="A2 D5", rx="A3 D6", fifo=True),
    uart("USART3", 39, 7, tx="B10 C4 C10 D8", rx="B11 C5 C11 D9", fifo=True),
    uart("UART4", 52, 8, tx="A0 C10", rx="A1 C11", fifo=True),
    uart("UART5", 53, 8, tx="C12", rx="D2", fifo=True),
    uart("LPUART1", 70, 8, tx="A2 B11 C1 G7", rx="A3 B10 C0 G8", fifo=True, low_power=True),
)
_TIMERS = (TimerPlace("TIM2", 28, 32), TimerPlace("TIM3", 29), TimerPlace("TIM4", 30), TimerPlace("TIM5", 50, 32))

STM32L4R5 = Chip(
    part="STM32L4R5",
    title="STM32L4R5",
    core_name="m4",
    irq_count=95,
    regions=_REGIONS,
    rows=_ROWS,
    gpio_ports="ABCDEFGHI",
    # RM0432 GPIOx_MODER, OSPEEDR, PUPDR: analog, but for the debug port's pins.
    gpio_reset={
        "A": {0x00: 0xABFF_FFFF, 0x08: 0x0C00_0000, 0x0C: 0x6400_0000},
        "B": {0x00: 0xFFFF_FEBF, 0x08: 0, 0x0C: 0x100},
        **{port: {0x00: 0xFFFF_FFFF} for port in "CDEFG"},
        "H": {0x00: 0xFFFF_FFFF},
        "I": {0x00: 0x00FF_FFFF},
    },
    uarts=_UARTS,
    timers=_TIMERS,
    boot_address=0x0000_0000,  # RM0432 "Boot configuration": flash, aliased at 0
    reset_hz=4_000_000,
    control=Stm32L4PlusClocks,
)

_ONLY_L4PLUS = {
    "CRS", "I2C4", "LTDC", "DSIHOST", "DMAMUX1", "DMA2D", "GFXMMU", "GPIOI", "DCMI", "HASH", "OCTOSPIM", "SDMMC1",
    "OCTOSPI1", "OCTOSPI2",
}  # fmt: skip

STM32L476 = Chip(
    part="STM32L476",
    title="STM32L476",
    core_name="m4",
    irq_count=82,  # RM0351 "Interrupt and exception vectors": positions 0 to 81
    # RM0351 "Embedded SRAM": SRAM1 96 KiB, SRAM2 32 KiB at 0x10000000 alone.
    regions=(
        *boot_memory(flash_kib=1024, system_kib=28),
        Region("SRAM1", 0x2000_0000, 96 * KIB, writable=True),
        Region("SRAM2", 0x1000_0000, 32 * KIB, writable=True),
    ),
    rows=(
        *(row for row in _ROWS if row.name not in _ONLY_L4PLUS),
        Row("LCD", 0x4000_2400, 0x400, "APB1ENR1", 9),
        Row("SWPMI1", 0x4000_8800, 0x400, "APB1ENR2", 2),
        Row("SDMMC1", 0x4001_2800, 0x400, "APB2ENR", 10),
        Row("QUADSPI", 0xA000_1000, 0x400, "AHB3ENR", 8),
    ),
    gpio_ports="ABCDEFGH",
    gpio_reset={
        "A": {0x00: 0xABFF_FFFF, 0x08: 0x0C00_0000, 0x0C: 0x6400_0000},
        "B": {0x00: 0xFFFF_FEBF, 0x08: 0, 0x0C: 0x100},
        **{port: {0x00: 0xFFFF_FFFF} for port in "CDEFG"},
        "H": {0x00: 0xF},
    },
    uarts=(
        uart("USART1", 37, 7, tx="A9 B6 G9", rx="A10 B7 G10"),
        uart("USART2", 38, 7, tx="A2 D5", rx="A3 D6"),
        uart("USART3", 39, 7, tx="B10 C4 C10 D8", rx="B11 C5 C11 D9"),
        uart("UART4", 52, 8, tx="A0 C10", rx="A1 C11"),
        uart("UART5", 53, 8, tx="C12", rx="D2"),
        uart("LPUART1", 70, 8, tx="B11 C1 G7", rx="B10 C0 G8", low_power=True),
    ),
    timers=_TIMERS,
    boot_address=0,
    reset_hz=4_000_000,
    control=Stm32L4Clocks,
)
