"""Fits a chip's constants to inferences that were timed on silicon.

A prediction is linear in the constants: straight-line cycles, and so many times each of the events and accesses that
``models/silicon.py`` charges. So what the virtual board counts once is enough to predict with any constants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np

from tinydeploy.cores import Core
from tinydeploy.virtual.decode import Block
from tinydeploy.virtual.memory import Traffic
from tinydeploy.virtual.models import model_for
from tinydeploy.virtual.models.events import EVENTS
from tinydeploy.virtual.models.silicon import CACHE_COSTS, STRAIGHT, CacheShape, Silicon

Counts = Mapping[str, float]
Edge = tuple[Block | None, Block, int]
_CACHES = ("data_cache", "fetch_cache")


class Timed(Protocol):
    """Something that took so many cycles on silicon."""

    @property
    def measured(self) -> float:
        """Cycles, above 0."""


Case = TypeVar("Case", bound=Timed)


def counts(edges: Iterable[Edge], traffic: Traffic, silicon: Silicon) -> dict[str, float]:
    """What `edges` and `traffic` hold: straight-line cycles, events, and accesses by the constants' names.

    From the straight-line cycles goes what is known, and no constant: wait states that lines from RAM do not take.
    """
    totals = dict.fromkeys(("straight", *EVENTS), 0.0)
    for previous, block, runs in edges:
        totals["straight"] += runs * STRAIGHT[silicon.core](previous, block.instructions)
        for event, count in EVENTS.items():
            totals[event] += runs * count(previous, block)
    totals["straight"] -= traffic.ram_misses * silicon.wait_states
    return totals | {
        "data_cache.access": traffic.accesses,
        "data_cache.miss": traffic.misses + traffic.ram_misses,
        "fetch_cache.miss": traffic.fetch_misses,
        "fetch_cache.sequential": traffic.sequential,
    }


def rules_cycles(edges: Iterable[Edge], core: Core) -> int:
    """Cycles of `edges` by the core's rules alone."""
    model = model_for(core)
    return round(sum(runs * model.cycles(previous, block) for previous, block, runs in edges))


def constants(silicon: Silicon) -> dict[str, float]:
    """The chip's constants by the names of `counts`, those that it has."""
    found = dict(silicon.cycles)
    for name, shape in zip(_CACHES, (silicon.data, silicon.fetch), strict=True):
        if shape is not None:
            found |= {f"{name}.{cost}": value for cost in CACHE_COSTS if (value := getattr(shape, cost))}
    return found


def with_constants(silicon: Silicon, chosen: Mapping[str, float]) -> Silicon:
    """`silicon` with other values of its `constants`."""

    def shape(name: str, given: CacheShape | None) -> CacheShape | None:
        if given is None:
            return None
        miss, sequential, access = (chosen.get(f"{name}.{cost}", 0.0) for cost in CACHE_COSTS)
        return replace(given, miss=miss, sequential=sequential, access=access)

    data, fetch = (shape(name, given) for name, given in zip(_CACHES, (silicon.data, silicon.fetch), strict=True))
    return replace(silicon, cycles={event: chosen[event] for event in silicon.cycles}, data=data, fetch=fetch)


def cache_sizes(silicon: Silicon) -> dict[str, tuple[int, int, int, int]]:
    """Sets, ways, bytes of a line and of a sector of each cache: with others, accesses are counted otherwise."""
    caches = zip(_CACHES, (silicon.data, silicon.fetch), strict=True)
    return {name: (c.sets, c.ways, c.line_bytes, c.sector_bytes) for name, c in caches if c is not None}


def predicted(counted: Counts, chosen: Mapping[str, float]) -> float:
    """Cycles of what was counted."""
    return counted["straight"] + sum(counted[name] * value for name, value in chosen.items())


def fitted(known: Sequence[tuple[Case, Counts]], names: Sequence[str]) -> dict[str, float]:
    """The constants, none negative, with the least squares of relative errors."""
    scale = np.array([1 / case.measured for case, _ in known])
    wanted = np.array([case.measured - counted["straight"] for case, counted in known]) * scale
    free = list(names)
    while free:
        matrix = np.array([[counted[name] for name in free] for _, counted in known]) * scale[:, None]
        values = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
        if (values >= 0).all():
            return dict.fromkeys(names, 0.0) | dict(zip(free, map(float, values), strict=True))
        del free[int(values.argmin())]
    return dict.fromkeys(names, 0.0)


def error_percent(case: Timed, counted: Counts, chosen: Mapping[str, float]) -> float:
    """How far the prediction is off, in per cent of what silicon took."""
    return (predicted(counted, chosen) / case.measured - 1) * 100
