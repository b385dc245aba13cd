"""Timers of the STM32 (RM0432 "General-purpose timers"): up-counting, update and compare interrupts.

Counting follows the timeline; nothing runs between two accesses but the next interrupt that is enabled. Not modelled:
other counting modes, PWM outputs, input capture, DMA, triggers; their registers keep what is written.
"""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.chips.chip import TimerPlace
from tinydeploy.virtual.peripheral import Peripheral
from tinydeploy.virtual.timeline import PS_PER_SECOND, Event, Timeline

CR1, CR2, SMCR, DIER, SR, EGR, CCMR1, CCMR2, CCER, CNT, PSC, ARR, RCR = range(0, 0x34, 4)
CCR = (0x34, 0x38, 0x3C, 0x40)
_CEN, _UDIS, _URS, _OPM = 1, 2, 4, 8
_UIF = 1


class Timer(Peripheral):
    """One timer. `clock_hz()`: what it counts, before PSC. `set_line(level)`: its interrupt, level-sensitive."""

    def __init__(
        self,
        place: TimerPlace,
        base: int,
        timeline: Timeline,
        clock_hz: Callable[[], int],
        set_line: Callable[[bool], None],
    ) -> None:
        self._top = 0xFFFF_FFFF if place.bits == 32 else 0xFFFF
        known = (CR1, CR2, SMCR, DIER, SR, EGR, CCMR1, CCMR2, CCER, CNT, PSC, RCR, *CCR, 0x44, 0x48, 0x4C)
        super().__init__(place.name, base, dict.fromkeys(known, 0) | {ARR: self._top})
        self._timeline = timeline
        self._clock_hz = clock_hz
        self._set_line = set_line
        self._prescaler = 0  # in use; PSC holds the next one
        self._since_ps = 0  # when the counter stood at CNT
        self._event: Event | None = None
        self.readers = {CNT: self._read_cnt, SR: self._read_sr, EGR: lambda: 0}
        self.writers = {
            CNT: self._write_cnt, SR: self._write_sr, EGR: self._write_egr, CR1: self._write_cr1,
        }  # fmt: skip
        for offset in (DIER, ARR, *CCR):
            self.writers[offset] = lambda value, offset=offset: self._write_setting(offset, value)  # type: ignore[misc]

    def reset(self) -> None:
        """Stopped at 0."""
        super().reset()
        self._prescaler = 0
        self._since_ps = 0
        self._cancel()

    def _cancel(self) -> None:
        if self._event is not None:
            self._event.cancelled = True
            self._event = None

    @property
    def _tick_ps(self) -> float:
        return (self._prescaler + 1) * PS_PER_SECOND / max(1, self._clock_hz())

    def _follow(self) -> None:
        """Bring CNT and the flags to now."""
        registers = self.registers
        now = self._timeline.now_ps
        if not registers[CR1] & _CEN:
            self._since_ps = now
            return
        ticks = int((now - self._since_ps) / self._tick_ps)
        if not ticks:
            return
        self._since_ps += round(ticks * self._tick_ps)
        start, period = registers[CNT], registers[ARR] + 1
        for channel, offset in enumerate(CCR, 1):
            if 0 < (registers[offset] - start) % period <= ticks or ticks >= period:
                registers[SR] |= 1 << channel
        end = start + ticks
        if end >= period and start < period:
            if not registers[CR1] & _UDIS:
                registers[SR] |= _UIF
                self._prescaler = registers[PSC]
            if registers[CR1] & _OPM:
                registers[CR1] &= ~_CEN
                end = period
        registers[CNT] = end % period

    def _signal(self) -> None:
        """Drive the interrupt line, and come back when the next enabled flag is due."""
        registers = self.registers
        self._set_line(bool(registers[SR] & registers[DIER] & 0x1F))
        self._cancel()
        if not registers[CR1] & _CEN:
            return
        start, period, enabled = registers[CNT], registers[ARR] + 1, registers[DIER] & ~registers[SR]
        ahead = [period - start] if enabled & _UIF else []
        ahead += [(registers[at] - start) % period or period for index, at in enumerate(CCR, 1) if enabled >> index & 1]
        if ahead:
            due = self._since_ps + int(max(1, min(ahead)) * self._tick_ps) + 1
            self._event = self._timeline.schedule(max(0, due - self._timeline.now_ps), self._due)

    def _due(self) -> None:
        self._event = None
        self._follow()
        self._signal()

    def retime(self) -> None:
        """The clock has changed: what was counted so far stays."""
        self._since_ps = self._timeline.now_ps
        self._signal()

    def _read_cnt(self) -> int:
        self._follow()
        return self.registers[CNT]

    def _read_sr(self) -> int:
        self._follow()
        return self.registers[SR]

    def _write_cnt(self, value: int) -> None:
        self._follow()
        self.registers[CNT] = value & self._top
        self._since_ps = self._timeline.now_ps
        self._signal()

    def _write_sr(self, value: int) -> None:
        self._follow()
        self.registers[SR] &= value  # write 0 to clear
        self._signal()

    def _write_egr(self, value: int) -> None:
        self._follow()
        if value & 1 and not self.registers[CR1] & _UDIS:  # UG
            self.registers[CNT] = 0
            self._prescaler = self.registers[PSC]
            self._since_ps = self._timeline.now_ps
            if not self.registers[CR1] & _URS:
                self.registers[SR] |= _UIF
        self.registers[SR] |= value & 0x1E
        self._signal()

    def _write_cr1(self, value: int) -> None:
        self._follow()
        self.registers[CR1] = value
        self._signal()

    def _write_setting(self, offset: int, value: int) -> None:
        self._follow()
        self.registers[offset] = value if offset == DIER else value & self._top
        self._signal()
