"""Cycles of a chip as it is: the core's rules, and what branches, flash and caches add, by published figures.

A chip's constants are in ``virtual/silicon/<name>.toml``: few, each with its reason. Static costs belong to an edge, a
pair of blocks; waiting for memory is counted where it happens (``virtual/memory.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tinydeploy.latency import Band, by_constants
from tinydeploy.virtual.decode import Block, Instruction
from tinydeploy.virtual.models.events import EVENTS
from tinydeploy.virtual.models.m0plus import CortexM0Plus
from tinydeploy.virtual.models.m4 import CortexM4
from tinydeploy.virtual.models.m7 import CortexM7

Straight = Callable[[Block | None, tuple[Instruction, ...]], float]


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


CACHE_COSTS = ("miss", "sequential", "access")


@dataclass(frozen=True, slots=True)
class Silicon:
    """The constants of one chip at one clock. ``cycles``: by event (``models/events.py``).

    ``data`` and ``fetch``: caches before the flash, none where it costs nothing; ``unified``: one cache for both.
    ``cost_factor``: cycles by these constants as a multiple of what the cost model predicts for the chip.
    """

    name: str
    chip: str
    core: str
    core_hz: int
    wait_states: int
    cycles: Mapping[str, float]
    data: CacheShape | None
    fetch: CacheShape | None
    unified: bool
    band: Band | None
    cost_factor: float = 1.0

    @property
    def statement(self) -> str:
        """What a latency by these constants is worth."""
        return by_constants(self.name, self.chip, self.core_hz, self.wait_states, self.band)


class SiliconModel:
    """The cycle model of a calibrated chip."""

    exception_entry = 12
    exception_return = 10

    def __init__(self, silicon: Silicon) -> None:
        self.silicon = silicon
        self.name = f"{silicon.chip}, calibrated"
        self.statement = silicon.statement
        self._straight = STRAIGHT[silicon.core]
        self._events = [(EVENTS[event], cost) for event, cost in silicon.cycles.items()]

    def cycles(self, previous: Block | None, block: Block) -> float:
        """Cycles of `block` after `previous`, waiting for memory excepted."""
        total = self._straight(previous, block.instructions)
        return total + sum(cost * count(previous, block) for count, cost in self._events)

    def prefix(self, block: Block, count: int) -> float:
        """Cycles of the first `count` instructions of `block`."""
        return self._straight(None, block.instructions[:count])


def _m4(previous: Block | None, instructions: tuple[Instruction, ...]) -> float:
    follows = previous is not None and instructions and instructions[0].address == previous.end
    return CortexM4.straight(previous.last if previous is not None and follows else None, instructions)


def _m33(_previous: Block | None, instructions: tuple[Instruction, ...]) -> float:
    return len(instructions)


def _m0plus(_previous: Block | None, instructions: tuple[Instruction, ...]) -> float:
    return CortexM0Plus.straight(instructions)


# By core: cycles of straight-line code without waiting for memory.
STRAIGHT: dict[str, Straight] = {"m4": _m4, "m33": _m33, "m0plus": _m0plus, "m7": CortexM7.straight}
