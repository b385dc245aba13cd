"""The constants of calibrated chips: plain TOML, one file per chip and clock, strict keys."""

from __future__ import annotations

import functools
from pathlib import Path

from tinydeploy.stricttoml import Table, read_toml
from tinydeploy.virtual.models.events import EVENTS
from tinydeploy.virtual.models.silicon import STRAIGHT, Band, CacheShape, Silicon

_FOLDER = Path(__file__).with_name("silicon")
_SHAPE = ("sets", "ways", "line_bytes", "sector_bytes")
_COSTS = ("miss", "sequential", "access")


def _number(table: Table, key: str) -> float:
    value = table.values[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1000:
        raise table.error(f"{key} is {value!r}; it must be a number of 0 to 1000")
    return float(value)


def _cache(table: Table, key: str) -> CacheShape | None:
    if key not in table.values:
        return None
    cache = table.table(key)
    cache.expect_keys(_SHAPE, _COSTS)
    sets, ways, line, sector = (cache.integer(name, 1, 1 << 20) for name in _SHAPE)
    miss, sequential, access = (_number(cache, cost) if cost in cache.values else 0.0 for cost in _COSTS)
    return CacheShape(sets, ways, line, sector, miss, sequential, access)


def read_silicon(path: Path) -> Silicon:
    """The constants in `path`. Raises BoardError that names the file, the key and what it should be."""
    table = read_toml(path, path.name)
    table.expect_keys(
        ("chip", "core", "core_hz", "flash_wait_states", "cycles", "band"), ("data_cache", "fetch_cache", "unified")
    )
    cycles = table.table("cycles")
    cycles.expect_keys((), EVENTS)
    band = table.table("band")
    band.expect_keys(("mean_percent", "worst_percent", "cases"))
    return Silicon(
        path.stem,
        table.text("chip"),
        table.choice("core", STRAIGHT),
        table.integer("core_hz", 1, 10**10),
        table.integer("flash_wait_states", 0, 15),
        {event: _number(cycles, event) for event in cycles.values},
        _cache(table, "data_cache"),
        _cache(table, "fetch_cache"),
        table.boolean("unified") if "unified" in table.values else False,
        Band(_number(band, "mean_percent"), _number(band, "worst_percent"), band.text("cases")),
    )


@functools.cache
def silicon_of(part: str) -> Silicon | None:
    """The constants that ship for chips whose part number begins so; None where no board was measured."""
    known = [read_silicon(path) for path in sorted(_FOLDER.glob("*.toml"))]
    return next((silicon for silicon in known if part.startswith(silicon.chip)), None)
