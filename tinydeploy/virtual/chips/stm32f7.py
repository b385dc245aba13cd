"""STM32F72x (RM0431), F74x (RM0385) and F76x (RM0410): memory map, registers' addresses, clock enable bits, UARTs.

The peripherals that they share lie at the same addresses, behind the same enable bits, on the same pins.
"""

from __future__ import annotations

from tinydeploy.virtual.chips.chip import Chip, Region, Row, TimerPlace, uart
from tinydeploy.virtual.chips.stm32_clock import HSI_HZ
from tinydeploy.virtual.chips.stm32f7_clock import Stm32F7Clocks

KIB = 1024


def _regions(flash_kib: int, dtcm_kib: int, sram_kib: int) -> tuple[Region, ...]:
    """ "Memory organization" and "Embedded SRAM" of the manuals: SRAM1 and SRAM2 follow DTCM without a gap.

    The flash answers on AXI and, for code in ITCM's range, at 0x200000.
    """
    return (
        Region("flash", 0x0800_0000, flash_kib * KIB, writable=False),
        Region("flash (ITCM)", 0x0020_0000, flash_kib * KIB, writable=False, alias_of="flash"),
        Region("ITCM", 0x0000_0000, 16 * KIB, writable=True),
        Region("DTCM", 0x2000_0000, dtcm_kib * KIB, writable=True),
        Region("SRAM", 0x2000_0000 + dtcm_kib * KIB, sram_kib * KIB, writable=True),
        Region("system memory", 0x1FF0_0000, 59 * KIB, writable=False),
    )


# RM0385 "Register boundary addresses" and the RCC's enable registers.
_APB1 = (
    ("TIM2", 0x0000, 0), ("TIM3", 0x0400, 1), ("TIM4", 0x0800, 2), ("TIM5", 0x0C00, 3), ("TIM6", 0x1000, 4),
    ("TIM7", 0x1400, 5), ("TIM12", 0x1800, 6), ("TIM13", 0x1C00, 7), ("TIM14", 0x2000, 8), ("LPTIM1", 0x2400, 9),
    ("RTC", 0x2800, None), ("WWDG", 0x2C00, 11), ("IWDG", 0x3000, None), ("SPI2", 0x3800, 14), ("SPI3", 0x3C00, 15),
    ("SPDIFRX", 0x4000, 16), ("USART2", 0x4400, 17), ("USART3", 0x4800, 18), ("UART4", 0x4C00, 19),
    ("UART5", 0x5000, 20), ("I2C1", 0x5400, 21), ("I2C2", 0x5800, 22), ("I2C3", 0x5C00, 23), ("I2C4", 0x6000, 24),
    ("CAN1", 0x6400, 25), ("CAN2", 0x6800, 26), ("CEC", 0x6C00, 27), ("PWR", 0x7000, 28), ("DAC", 0x7400, 29),
    ("UART7", 0x7800, 30), ("UART8", 0x7C00, 31),
)  # fmt: skip
_APB2 = (
    ("TIM1", 0x0000, 0), ("TIM8", 0x0400, 1), ("USART1", 0x1000, 4), ("USART6", 0x1400, 5), ("ADC", 0x2000, 8),
    ("SDMMC1", 0x2C00, 11), ("SPI1", 0x3000, 12), ("SPI4", 0x3400, 13), ("SYSCFG", 0x3800, 14), ("EXTI", 0x3C00, None),
    ("TIM9", 0x4000, 16), ("TIM10", 0x4400, 17), ("TIM11", 0x4800, 18), ("SPI5", 0x5000, 20), ("SPI6", 0x5400, 21),
    ("SAI1", 0x5800, 22), ("SAI2", 0x5C00, 23), ("LTDC", 0x6800, 26),
)  # fmt: skip
_ROWS = (
    *(Row(name, 0x4000_0000 + offset, 0x400, "APB1ENR", bit) for name, offset, bit in _APB1),
    *(Row(name, 0x4001_0000 + offset, 0x400, "APB2ENR", bit) for name, offset, bit in _APB2),
    *(Row(f"GPIO{port}", 0x4002_0000 + 0x400 * bit, 0x400, "AHB1ENR", bit) for bit, port in enumerate("ABCDEFGHIJK")),
    Row("CRC", 0x4002_3000, 0x400, "AHB1ENR", 12),
    Row("RCC", 0x4002_3800),
    Row("FLASH", 0x4002_3C00),
    Row("BKPSRAM", 0x4002_4000, 0x1000, "AHB1ENR", 18),
    Row("DMA1", 0x4002_6000, 0x400, "AHB1ENR", 21),
    Row("DMA2", 0x4002_6400, 0x400, "AHB1ENR", 22),
    Row("ETH", 0x4002_8000, 0x1400, "AHB1ENR", 25),
    Row("DMA2D", 0x4002_B000, 0xC00, "AHB1ENR", 23),
    Row("OTG_HS", 0x4004_0000, 0x40000, "AHB1ENR", 29),
    Row("OTG_FS", 0x5000_0000, 0x40000, "AHB2ENR", 7),
    Row("DCMI", 0x5005_0000, 0x400, "AHB2ENR", 0),
    Row("RNG", 0x5006_0800, 0x400, "AHB2ENR", 6),
    Row("FMC", 0xA000_0000, 0x1000, "AHB3ENR", 0),
    Row("QUADSPI", 0xA000_1000, 0x1000, "AHB3ENR", 1),
    Row("DBGMCU", 0xE004_2000),
)
# RM0385 "Interrupt and exception vectors"; DS10916 "alternate function mapping".
_UARTS = (
    uart("USART1", 37, 7, tx="A9 B6", rx="A10 B7"),
    uart("USART2", 38, 7, tx="A2 D5", rx="A3 D6"),
    uart("USART3", 39, 7, tx="B10 C10 D8", rx="B11 C11 D9"),
    uart("UART4", 52, 8, tx="A0 C10 H13", rx="A1 C11 I9"),
    uart("UART5", 53, 8, tx="C12", rx="D2"),
    uart("USART6", 71, 8, tx="C6 G14", rx="C7 G9"),
    uart("UART7", 82, 8, tx="E8 F7", rx="E7 F6"),
    uart("UART8", 83, 8, tx="E1", rx="E0"),
)


def _chip(part: str, irq_count: int, regions: tuple[Region, ...], ports: str = "ABCDEFGHIJK") -> Chip:
    return Chip(
        part=part,
        title=part,
        core_name="m7",
        irq_count=irq_count,
        regions=regions,
        rows=tuple(row for row in _ROWS if not row.name.startswith("GPIO") or row.name[4:] in ports),
        gpio_ports=ports,
        # GPIOx_MODER, OSPEEDR, PUPDR: the debug port's pins.
        gpio_reset={
            "A": {0x00: 0xA800_0000, 0x08: 0x0C00_0000, 0x0C: 0x6400_0000},
            "B": {0x00: 0x280, 0x08: 0xC0, 0x0C: 0x100},
        },
        uarts=_UARTS,
        timers=(TimerPlace("TIM2", 28, 32), TimerPlace("TIM3", 29), TimerPlace("TIM4", 30), TimerPlace("TIM5", 50, 32)),
        boot_address=0x0020_0000,  # "Boot configuration": BOOT_ADD0 as delivered
        reset_hz=HSI_HZ,
        control=Stm32F7Clocks,
    )


STM32F722 = _chip("STM32F722", 104, _regions(512, 64, 192), "ABCDEFGHI")  # RM0431: SRAM1 176 KiB, SRAM2 16 KiB
STM32F746 = _chip("STM32F746", 98, _regions(1024, 64, 256))  # RM0385: SRAM1 240 KiB, SRAM2 16 KiB
STM32F767 = _chip("STM32F767", 110, _regions(2048, 128, 384))  # RM0410: SRAM1 368 KiB, SRAM2 16 KiB
STM32F769 = _chip("STM32F769", 110, _regions(2048, 128, 384))
