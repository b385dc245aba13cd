"""The constants of calibrated chips: plain TOML, one file per chip and clock, strict keys."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

from tinydeploy.latency import Band
from tinydeploy.shipped_constants import FILES
from tinydeploy.stricttoml import Table, read_toml, toml_lines
from tinydeploy.virtual.models.events import EVENTS
from tinydeploy.virtual.models.silicon import CACHE_COSTS, STRAIGHT, CacheShape, Silicon

_SHAPE = ("sets", "ways", "line_bytes", "sector_bytes")


def _number(table: Table, key: str) -> float:
    value = table.values[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1000:
        raise table.error(f"{key} is {value!r}; it must be a number of 0 to 1000")
    return float(value)


def _cache(table: Table, key: str) -> CacheShape | None:
    if key not in table.values:
        return None
    cache = table.table(key)
    cache.expect_keys(_SHAPE, CACHE_COSTS)
    sets, ways, line, sector = (cache.integer(name, 1, 1 << 20) for name in _SHAPE)
    costs = (_number(cache, cost) if cost in cache.values else 0.0 for cost in CACHE_COSTS)
    return CacheShape(sets, ways, line, sector, *costs)


def read_silicon(path: Path) -> Silicon:
    """The constants in `path`. Raises BoardError that names the file, the key and what it should be."""
    table = read_toml(path, path.name)
    table.expect_keys(
        ("chip", "core", "core_hz", "flash_wait_states", "cycles"),
        ("band", "cost_factor", "data_cache", "fetch_cache", "unified"),
    )
    cycles = table.table("cycles")
    cycles.expect_keys((), EVENTS)
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
        _band(table.table("band")) if "band" in table.values else None,
        _number(table, "cost_factor") if "cost_factor" in table.values else 1.0,
    )


def _band(table: Table) -> Band:
    table.expect_keys(("mean_percent", "worst_percent", "cases"))
    return Band(_number(table, "mean_percent"), _number(table, "worst_percent"), table.text("cases"))


def silicon_toml(silicon: Silicon, comment: str) -> str:
    """The file that `read_silicon` reads as `silicon`, but for its name; each line of `comment` begins with #."""
    facts: dict[str, object] = {
        "chip": silicon.chip,
        "core": silicon.core,
        "core_hz": silicon.core_hz,
        "flash_wait_states": silicon.wait_states,
        **({"unified": True} if silicon.unified else {}),
        **({"cost_factor": silicon.cost_factor} if silicon.cost_factor != 1.0 else {}),
    }
    tables: dict[str, Mapping[str, object]] = {"cycles": silicon.cycles}
    for name, cache in (("data_cache", silicon.data), ("fetch_cache", silicon.fetch)):
        if cache is not None:
            values = dataclasses.asdict(cache)
            tables[name] = {key: value for key, value in values.items() if key in _SHAPE or value}
    if silicon.band is not None:
        tables["band"] = dataclasses.asdict(silicon.band)
    return comment + toml_lines(facts) + "".join(f"\n[{name}]\n{toml_lines(keys)}" for name, keys in tables.items())


@functools.cache
def _shipped() -> tuple[Silicon, ...]:
    return tuple(read_silicon(path) for path in FILES)


def silicon_of(part: str) -> Silicon | None:
    """The constants that ship for chips whose part number begins so; None where no board was measured."""
    return next((silicon for silicon in _shipped() if part.startswith(silicon.chip)), None)


def nearest_silicon(part: str, core: str) -> Silicon | None:
    """The constants that ship for `part`, or for the chip of the same core whose name is most like it."""

    def likeness(silicon: Silicon) -> int:
        return next((at for at, letter in enumerate(silicon.chip) if part[at : at + 1] != letter), len(silicon.chip))

    return max((silicon for silicon in _shipped() if silicon.core == core), key=likeness, default=None)
