"""Oscillators and PLLs: on, then ready some time later."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.timeline import Event, Timeline

US = 1_000_000  # picoseconds


class Oscillators:
    """Which clock sources are on and which are ready; `changed` is called when one becomes ready."""

    def __init__(self, timeline: Timeline, startup_us: dict[str, int], changed: Callable[[], None]) -> None:
        self._timeline = timeline
        self._startup_us = startup_us
        self._changed = changed
        self._on: set[str] = set()
        self._ready: set[str] = set()
        self._pending: dict[str, Event] = {}

    def reset(self, running: str) -> None:
        """Only `running` runs, and is ready."""
        self._on, self._ready, self._pending = {running}, {running}, {}

    def switch(self, name: str, on: bool, startup_ps: int | None = None) -> None:
        """Turn a source on or off; it starts in its usual time, or in that which its registers ask for."""
        if on and name not in self._on:
            self._on.add(name)
            delay_ps = self._startup_us[name] * US if startup_ps is None else startup_ps
            self._pending[name] = self._timeline.schedule(delay_ps, lambda: self._settle(name))
        elif not on and name in self._on:
            self._on.discard(name)
            self._ready.discard(name)
            event = self._pending.pop(name, None)
            if event is not None:
                event.cancelled = True

    def restart(self, name: str) -> None:
        """The source changes its frequency: not ready for its start-up time, if on."""
        if name in self._on:
            self.switch(name, False)
            self.switch(name, True)

    def is_on(self, name: str) -> bool:
        """Was it turned on?"""
        return name in self._on

    def is_ready(self, name: str) -> bool:
        """Does it run stably?"""
        return name in self._ready

    def _settle(self, name: str) -> None:
        self._pending.pop(name, None)
        self._ready.add(name)
        self._changed()
