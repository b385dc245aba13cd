"""What waiting for flash costs a chip whose latencies were published: the cache before it, and the ends of loops.

The facts are those of ``virtual/silicon/<chip>.toml``, which the virtual board counts by; here they are applied to what
a kernel is known to read, before there is any firmware (docs/CHOICES.md).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from tinydeploy.shipped_constants import ram_miss_cycles, shipped_constants
from tinydeploy.stricttoml import Table

_WORD_BYTES = 4
# memcpy of the firmware: four words a turn; measured on the virtual board, its loops' ends included.
_COPY_CYCLES, _COPY_CYCLES_PER_BYTE = 100, 1.0
# Caches of code, by chip. The M7's before AXI; RM0432 "Adaptive real-time memory accelerator": 32 lines of 256 bits;
# RM0456 "ICACHE", which holds what code reads as well.
_CODE_CACHE_BYTES = {"STM32F746": 4096, "STM32H7A3": 16384, "STM32L4R5": 1024, "STM32U575": 8192}


@dataclass(frozen=True, slots=True)
class FlashReads:
    """A data cache of `sets` of `ways` lines, the least recently used of which gives way; a miss loads `sector_bytes`
    and costs `miss_cycles`, every access `access_cycles`. What follows a loop is late by `loop_end_cycles`. A loop of
    more than `code_cache_bytes` is fetched anew in every turn.

    A Cortex-M7's cache is before its RAM too, but for the TCMs: a miss there costs `ram_miss_cycles`.
    """

    chip: str
    core: str
    sets: int
    ways: int
    line_bytes: int
    sector_bytes: int
    miss_cycles: float
    access_cycles: float
    loop_end_cycles: float
    ram_miss_cycles: float
    code_cache_bytes: int

    def cycles(self, size_bytes: int, sweeps: int) -> float:
        """Cycles that a core waits when it reads `size_bytes` in order, `sweeps` times over, and little else."""
        accesses = sweeps * size_bytes / _WORD_BYTES
        return accesses * self.access_cycles + self._misses(size_bytes, sweeps) * self.miss_cycles

    def ram_cycles(self, size_bytes: int, sweeps: int) -> float:
        """The same in RAM behind the cache."""
        return self._misses(size_bytes, sweeps) * self.ram_miss_cycles

    def copy_cycles(self, size_bytes: int) -> float:
        """Cycles to copy `size_bytes` to RAM."""
        return _COPY_CYCLES + _COPY_CYCLES_PER_BYTE * size_bytes + self.cycles(size_bytes, 1)

    def _misses(self, size_bytes: int, sweeps: int) -> float:
        return (size_bytes + (sweeps - 1) * self._lost_bytes(size_bytes)) / self.sector_bytes

    def _lost_bytes(self, size_bytes: int) -> int:
        """What of it is no longer in the cache when it is read again: all lines of a set that has more than its ways,
        for each gives way just before its turn."""
        each, more = divmod(-(-size_bytes // self.line_bytes), self.sets)
        lines = sum(sets * held for sets, held in ((more, each + 1), (self.sets - more, each)) if held > self.ways)
        return lines * self.line_bytes


@functools.cache
def flash_reads_of(part: str) -> FlashReads | None:
    """The facts of the chip whose part number is `part`; None where it was not calibrated or has no such cache."""
    found = shipped_constants(part)
    if found is None or "data_cache" not in found[1]:
        return None
    table = Table(f"{found[0]}.toml", "", found[1])
    cache = table.table("data_cache")
    sets, ways, line, sector = (
        cache.integer(key, 1, 1 << 20) for key in ("sets", "ways", "line_bytes", "sector_bytes")
    )
    miss, access = (float(cache.values.get(cost, 0.0)) for cost in ("miss", "access"))
    core = table.text("core")
    ram_miss = ram_miss_cycles(core, miss, table.integer("flash_wait_states", 0, 15))
    loop_end = float(table.table("cycles").values.get("loop_end", 0.0))
    chip = table.text("chip")
    code_cache = _CODE_CACHE_BYTES.get(chip, 0)
    return FlashReads(chip, core, sets, ways, line, sector, miss, access, loop_end, ram_miss, code_cache)
