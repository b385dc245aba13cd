"""What the memory maps of the STM32 without an instruction TCM have in common."""

from __future__ import annotations

from tinydeploy.virtual.chips.chip import Region

KIB = 1024


def boot_memory(flash_kib: int, system_kib: int) -> tuple[Region, ...]:
    """The flash, which is at 0 too where the core boots, and the system memory with ST's own loader.

    "Boot configuration" and "Memory map" of RM0090, RM0383, RM0351, RM0432 and RM0444.
    """
    return (
        Region("flash", 0x0800_0000, flash_kib * KIB, writable=False),
        Region("flash (boot alias)", 0x0000_0000, flash_kib * KIB, writable=False, alias_of="flash"),
        Region("system memory", 0x1FFF_0000, system_kib * KIB, writable=False),
    )
