"""The chips that the virtual board models, from the reference manuals and data sheets.

Nothing here is read from boards/*.toml: the firmware is built from those facts, and a wrong one must show.
"""

from __future__ import annotations

from tinydeploy.virtual.chips.chip import Chip
from tinydeploy.virtual.chips.mps2 import MPS2_AN386, MPS2_AN500
from tinydeploy.virtual.chips.nrf52 import NRF52840
from tinydeploy.virtual.chips.rp2 import RP2040, RP2350
from tinydeploy.virtual.chips.stm32f4 import STM32F407, STM32F411
from tinydeploy.virtual.chips.stm32f7 import STM32F722, STM32F746, STM32F767, STM32F769
from tinydeploy.virtual.chips.stm32g0 import STM32G0B1
from tinydeploy.virtual.chips.stm32h7 import STM32H7A3, STM32H743
from tinydeploy.virtual.chips.stm32l4 import STM32L4R5, STM32L476
from tinydeploy.virtual.chips.stm32u5 import STM32U575

CHIPS: tuple[Chip, ...] = (
    STM32F407,
    STM32F411,
    STM32F722,
    STM32F746,
    STM32F767,
    STM32F769,
    STM32H743,
    STM32H7A3,
    STM32G0B1,
    STM32L476,
    STM32L4R5,
    STM32U575,
    NRF52840,
    RP2040,
    RP2350,
    MPS2_AN386,
    MPS2_AN500,
)
