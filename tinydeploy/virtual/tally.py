"""What one call of a function executes, block by block: enough to predict it with any constants (``fitting.py``)."""

from __future__ import annotations

from dataclasses import astuple

from tinydeploy.virtual.counter import BlockCounter
from tinydeploy.virtual.fitting import Edge
from tinydeploy.virtual.memory import Memory, Traffic

_NO_TRAFFIC = Traffic(0, 0, 0, 0, 0)


class Tally:
    """Keeps the edges and the traffic of the last whole call of `symbol`, of which ``CallWatch`` tells."""

    def __init__(self, symbol: str, counter: BlockCounter, memory: Memory | None) -> None:
        self._symbol = symbol
        self._counter = counter
        self._memory = memory
        self._entered: dict[tuple[int, int], Edge] = {}
        self._traffic = _NO_TRAFFIC
        self.edges: list[Edge] | None = None
        self.traffic = _NO_TRAFFIC

    def enter(self, symbol: str) -> None:
        """A call begins."""
        if symbol == self._symbol:
            self._entered, self._traffic = self._seen(), self._bus()

    def leave(self, symbol: str) -> None:
        """It returns. A call during which edges were forgotten, as in the first of new code, is not kept."""
        if symbol != self._symbol:
            return
        now, before = self._seen(), self._entered
        if not before or any(key not in now or now[key][2] < runs for key, (_, _, runs) in before.items()):
            return
        self.edges = [
            (previous, block, runs - (before[key][2] if key in before else 0))
            for key, (previous, block, runs) in now.items()
        ]
        self.traffic = Traffic(*(b - a for a, b in zip(astuple(self._traffic), astuple(self._bus()), strict=True)))

    def _seen(self) -> dict[tuple[int, int], Edge]:
        # Blocks live as long as their counter, so that their identity is a name, and cheaper than their value.
        return {(id(edge[0]), id(edge[1])): edge for edge in self._counter.edges()}

    def _bus(self) -> Traffic:
        return _NO_TRAFFIC if self._memory is None else self._memory.traffic
