"""Caches between the core and its memories, looked up at every access: what waiting for flash costs."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

from tinydeploy.virtual import native
from tinydeploy.virtual.counter import BlockCounter

_PARTS = 256


@dataclass(frozen=True, slots=True)
class CacheShape:
    """`sets` of `ways` lines, the least recently used of which gives way; a miss loads `sector_bytes` of the line.

    Costs in cycles: ``miss``; ``sequential``, of a fetch right after the one before; ``access``, of every access.
    """

    sets: int
    ways: int
    line_bytes: int
    sector_bytes: int
    miss: float = 0.0
    sequential: float = 0.0
    access: float = 0.0


@dataclass(frozen=True, slots=True)
class CachedRegion:
    """Addresses that the data cache serves; elsewhere than in flash a miss only takes its place."""

    low: int
    high: int
    costs: bool


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
            access_256=round(shape.access * _PARTS),
        )


class Memory:
    """Attaches caches to the hooks of a `counter`. ``unified``: fetches look into the data cache too."""

    def __init__(
        self,
        counter: BlockCounter,
        data: CacheShape | None,
        regions: Sequence[CachedRegion],
        fetch: CacheShape | None,
        code: tuple[int, int],
        unified: bool = False,
    ) -> None:
        state = counter.state
        self.data = Cache(data) if data is not None else None
        self.fetch = self.data if unified else Cache(fetch) if fetch is not None else None
        if self.fetch is not None:
            state.fetch = ctypes.pointer(self.fetch.state)
            state.fetch_low, state.fetch_high = code
        self._regions = (native.RegionState * max(1, len(regions)))()
        if self.data is not None and regions:
            for place, region in zip(self._regions, regions, strict=True):
                place.low, place.high, place.costs = region.low, region.high, region.costs
                place.data = ctypes.pointer(self.data.state)
            state.regions = ctypes.cast(self._regions, ctypes.POINTER(native.RegionState))
            state.region_count = len(regions)
            counter.watch_accesses([(region.low, region.high - 1) for region in regions])

    @property
    def reads(self) -> list[int]:
        """Accesses so far, by region."""
        return [region.reads for region in self._regions]
