"""Virtual time: picoseconds that follow from core cycles and the clock that the firmware has set, and events in it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from tinydeploy.virtual.counter import BlockCounter

PS_PER_SECOND = 1_000_000_000_000


@dataclass(order=True, slots=True)
class Event:
    """Something due at ``at_ps``; ``cancelled`` events are skipped."""

    at_ps: int
    number: int
    action: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)


class Timeline:
    """The board's clock. The core's clock may change; peripherals think in picoseconds."""

    def __init__(self, counter: BlockCounter, core_hz: int) -> None:
        self._counter = counter
        self.core_hz = core_hz
        self._slept_cycles = 0
        self._base_ps = 0
        self._base_cycles = 0
        self._events: list[Event] = []
        self._number = 0

    @property
    def clock_cycles(self) -> int:
        """Cycles of the free-running core clock, those asleep included."""
        return self._counter.cycles + self._slept_cycles

    @property
    def now_ps(self) -> int:
        """Time since power-on."""
        return self._base_ps + (self.clock_cycles - self._base_cycles) * PS_PER_SECOND // self.core_hz

    def set_core_hz(self, core_hz: int) -> None:
        """The core runs at `core_hz` from now on."""
        if core_hz != self.core_hz:
            self._base_ps, self._base_cycles = self.now_ps, self.clock_cycles
            self.core_hz = core_hz
            self._counter.limit(0)  # deadlines in cycles must be worked out anew

    def cycles_until(self, at_ps: int) -> int:
        """Core cycles until `at_ps`, rounded up; at least 0."""
        return max(0, -(-(at_ps - self.now_ps) * self.core_hz // PS_PER_SECOND))

    def schedule(self, delay_ps: int, action: Callable[[], None]) -> Event:
        """Call `action` `delay_ps` from now, between two blocks."""
        self._number += 1
        event = Event(self.now_ps + delay_ps, self._number, action)
        heapq.heappush(self._events, event)
        self._counter.limit(self.cycles_until(event.at_ps))
        return event

    @property
    def next_ps(self) -> int | None:
        """When the next event is due."""
        while self._events and self._events[0].cancelled:
            heapq.heappop(self._events)
        return self._events[0].at_ps if self._events else None

    def run_due(self) -> None:
        """Do everything that is due by now."""
        while (due := self.next_ps) is not None and due <= self.now_ps:
            heapq.heappop(self._events).action()

    def sleep_until(self, at_ps: int) -> None:
        """Let the core sleep: time passes and it executes nothing."""
        self._slept_cycles += self.cycles_until(at_ps)

    def forget(self) -> None:
        """Drop all events: a reset."""
        self._events.clear()
