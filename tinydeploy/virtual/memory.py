"""Caches between the core and its memories, looked up at every access: what waiting for flash costs."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from tinydeploy.shipped_constants import ram_miss_cycles
from tinydeploy.virtual import native
from tinydeploy.virtual.chips.chip import Chip
from tinydeploy.virtual.counter import BlockCounter
from tinydeploy.virtual.models.silicon import CacheShape, Silicon

_PARTS = 256


class Cache:
    """One cache in the form that the hooks read."""

    def __init__(self, shape: CacheShape) -> None:
        lines = shape.sets * shape.ways
        self._tags, self._valid, self._age = ((ctypes.c_uint32 * lines)() for _ in range(3))
        self.state = native.CacheState(
            tags=ctypes.addressof(self._tags),
            valid=ctypes.addressof(self._valid),
            age=ctypes.addressof(self._age),
            sets=shape.sets,
            ways=shape.ways,
            line_shift=shape.line_bytes.bit_length() - 1,
            sector_shift=shape.sector_bytes.bit_length() - 1,
            miss_256=round(shape.miss * _PARTS),
            sequential_256=round(shape.sequential * _PARTS),
        )


@dataclass(frozen=True, slots=True)
class Traffic:
    """Loads from flash and what of them missed, and fetches that missed: the line after the one before, or another.

    ``ram_misses``: loads from RAM behind a Cortex-M7's cache that missed.
    """

    accesses: int
    misses: int
    sequential: int
    fetch_misses: int
    ram_misses: int


class Memory:
    """Attaches the caches of `silicon` to the hooks of a `counter`.

    They are looked up as if always on; firmware that leaves them off is slower on silicon than here.
    """

    def __init__(self, counter: BlockCounter, silicon: Silicon, chip: Chip) -> None:
        state = counter.state
        data, fetch = silicon.data, silicon.fetch
        self._data = Cache(data) if data is not None else None
        self._fetch = self._data if silicon.unified else Cache(fetch) if fetch is not None else None
        flash = chip.flash
        if self._fetch is not None:
            state.fetch = ctypes.pointer(self._fetch.state)
            state.fetch_low, state.fetch_high = flash.address, flash.address + flash.size_bytes
        cached = [flash]
        if silicon.core == "m7":  # the cache is the core's, before all of the bus but the TCMs
            cached += [region for region in chip.regions if region.writable and not region.name.endswith("TCM")]
        self._regions = (native.RegionState * len(cached))()
        if data is None or self._data is None:
            return
        for place, region in zip(self._regions, cached, strict=True):
            place.low, place.high = region.address, region.address + region.size_bytes
            place.data = ctypes.pointer(self._data.state)
            ram_miss = ram_miss_cycles(silicon.core, data.miss, silicon.wait_states)
            place.miss_256 = round((data.miss if region is flash else ram_miss) * _PARTS)
            place.access_256 = round(data.access * _PARTS) if region is flash else 0
        state.regions = ctypes.cast(self._regions, ctypes.POINTER(native.RegionState))
        state.region_count = len(cached)
        counter.watch_accesses([(region.address, region.address + region.size_bytes - 1) for region in cached])

    @property
    def traffic(self) -> Traffic:
        """What has gone over the bus so far."""
        flash, *rams = self._regions
        fetch = self._fetch.state if self._fetch is not None and self._fetch is not self._data else None
        sequential = int(fetch.sequential) if fetch is not None else 0
        return Traffic(
            int(flash.loads),
            int(flash.misses),
            sequential,
            int(fetch.misses) - sequential if fetch is not None else 0,
            sum(int(ram.misses) for ram in rams),
        )
