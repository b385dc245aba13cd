"""The chip families, one file per group that shares a clock tree: where their registers are, and the rules."""

from __future__ import annotations

from tinydeploy.families.base import Family, Setting
from tinydeploy.families.mps import MPS
from tinydeploy.families.nrf52 import NRF52
from tinydeploy.families.rp2 import RP2040, RP2350
from tinydeploy.families.stm32f import STM32F4, STM32F7
from tinydeploy.families.stm32h7 import STM32H7
from tinydeploy.families.stm32l4 import STM32L4, STM32L4PLUS
from tinydeploy.families.stm32u5 import STM32U5

__all__ = ["FAMILIES", "Family", "Setting"]

_ALL = (STM32F4, STM32F7, STM32H7, STM32L4, STM32L4PLUS, STM32U5, NRF52, RP2040, RP2350, MPS)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
