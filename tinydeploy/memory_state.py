"""How a chip reads its flash now: wait states, prefetch, caches, FPU, out of the registers that firmware answers with.

Addresses and bits are the manuals': the flash access register and the cache's of each family, and the core's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinydeploy.boards import Board
from tinydeploy.protocol import About

_CPUID, _CCR, _CPACR = 0xE000_ED00, 0xE000_ED14, 0xE000_ED88
_CCR_CACHES = {"data cache": 1 << 16, "instruction cache": 1 << 17}  # Armv7-M and Armv8-M: CCR.DC, CCR.IC
_CPACR_FPU = 0xF << 20  # full access to CP10 and CP11


@dataclass(frozen=True, slots=True)
class FlashControl:
    """The registers of one chip family, 0 where there is none: `access` with the wait states in `latency`, `cache` of
    its own; and the bits of each that speed reading up, by name."""

    access: int = 0
    latency: int = 0
    access_bits: Mapping[str, int] = field(default_factory=dict)
    cache: int = 0
    cache_bits: Mapping[str, int] = field(default_factory=dict)


_ART = {"prefetch": 1 << 8, "instruction cache": 1 << 9, "data cache": 1 << 10}
_CONTROLS = {
    "stm32f4": FlashControl(0x4002_3C00, 0xF, _ART),  # RM0090, RM0383 "FLASH_ACR"; three bits of latency on the F407
    "stm32f7": FlashControl(0x4002_3C00, 0xF),  # RM0385, RM0410 "FLASH_ACR"; its ART serves the ITCM port, not AXI
    "stm32h7": FlashControl(0x5200_2000, 0xF),  # RM0433 "FLASH_ACR"
    "stm32l4": FlashControl(0x4002_2000, 0xF, _ART),  # RM0351 "FLASH_ACR"
    "stm32l4plus": FlashControl(0x4002_2000, 0xF, _ART),  # RM0432 "FLASH_ACR"
    "stm32u5": FlashControl(  # RM0456 "FLASH_ACR", "ICACHE_CR"
        0x4002_2000, 0xF, {"prefetch": 1 << 8}, 0x4003_0400, {"instruction cache": 1 << 0}
    ),
    "nrf52": FlashControl(cache=0x4001_E540, cache_bits={"instruction cache": 1 << 0}),  # PS "NVMC", ICACHECNF
}
_NO_CONTROL = FlashControl()


@dataclass(frozen=True, slots=True)
class MemoryState:
    """`wait_states` of flash, None where the chip counts none; `fpu` and each of the `accelerators`, on or off. `fpu`
    is None on a core without."""

    wait_states: int | None
    fpu: bool | None
    accelerators: Mapping[str, bool]


def state_registers(board: Board) -> tuple[int, int, int, int, int]:
    """The addresses whose contents tell the state of `board`; 0 for what it does not have."""
    control = _CONTROLS.get(board.family, _NO_CONTROL)
    return _CPUID, _CCR, _CPACR if board.core.fpu != "none" else 0, control.access, control.cache


def memory_state(board: Board, about: About) -> MemoryState:
    """What the contents of :func:`state_registers` say."""
    control = _CONTROLS.get(board.family, _NO_CONTROL)
    bits = {name: bool(about.flash_register & mask) for name, mask in control.access_bits.items()}
    bits |= {name: bool(about.cache_register & mask) for name, mask in control.cache_bits.items()}
    if board.core.caches:
        bits |= {name: bool(about.ccr & mask) for name, mask in _CCR_CACHES.items()}
    return MemoryState(
        wait_states=about.flash_register & control.latency if control.access else None,
        fpu=about.cpacr & _CPACR_FPU == _CPACR_FPU if board.core.fpu != "none" else None,
        accelerators=bits,
    )
