"""SysTick (Armv7-M ARM B3.3): a 24-bit down-counter of core clock cycles, or of an eighth of them."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.peripheral import Peripheral
from tinydeploy.virtual.timeline import PS_PER_SECOND, Event, Timeline

CSR, RVR, CVR, CALIB = 0x0, 0x4, 0x8, 0xC
_ENABLE, _TICKINT, _CLKSOURCE, _COUNTFLAG = 1, 2, 4, 1 << 16
_EXTERNAL_DIVIDER = 8  # STM32: HCLK / 8 when CLKSOURCE is 0


class SysTick(Peripheral):
    """Registers at 0xE000E010; `fire` is called on each wrap while TICKINT is set."""

    def __init__(self, timeline: Timeline, fire: Callable[[], None]) -> None:
        super().__init__("SysTick", 0xE000_E010, {CSR: 0, RVR: 0, CVR: 0, CALIB: 0})
        self._timeline = timeline
        self._fire = fire
        self._start_cycles = 0  # when the counter held its reload value
        self._wrapped = False
        self._event: Event | None = None
        self.readers = {CSR: self._read_csr, CVR: self._read_cvr}
        self.writers = {CSR: self._write_csr, RVR: self._write_rvr, CVR: self._write_cvr, CALIB: lambda _value: None}

    def reset(self) -> None:
        """Off."""
        super().reset()
        self._wrapped = False
        self._event = None

    @property
    def _divider(self) -> int:
        return 1 if self.registers[CSR] & _CLKSOURCE else _EXTERNAL_DIVIDER

    @property
    def _period_cycles(self) -> int:
        return (self.registers[RVR] + 1) * self._divider

    @property
    def _running(self) -> bool:
        return bool(self.registers[CSR] & _ENABLE and self.registers[RVR])

    def _read_csr(self) -> int:
        value = self.registers[CSR] | (_COUNTFLAG if self._wrapped else 0)
        self._wrapped = False
        return value

    def _read_cvr(self) -> int:
        if not self._running:
            return self.registers[CVR]
        gone = (self._timeline.clock_cycles - self._start_cycles) % self._period_cycles
        return self.registers[RVR] - gone // self._divider

    def _write_csr(self, value: int) -> None:
        was = self._running
        self.registers[CSR] = value & (_ENABLE | _TICKINT | _CLKSOURCE)
        if self._running and not was:
            self._restart()
        elif not self._running and self._event is not None:
            self._event.cancelled = True

    def _write_rvr(self, value: int) -> None:
        self.registers[RVR] = value & 0xFF_FFFF
        if self._running and self._event is None:
            self._restart()

    def _write_cvr(self, _value: int) -> None:
        self.registers[CVR] = 0
        self._wrapped = False
        if self._running:
            self._restart()

    def _restart(self) -> None:
        self._start_cycles = self._timeline.clock_cycles
        self.retime()

    def retime(self) -> None:
        """Put the next wrap on the timeline: it started, or the core's clock changed."""
        if self._event is not None:
            self._event.cancelled = True
            self._event = None
        if self._running:
            timeline = self._timeline
            left = self._period_cycles - (timeline.clock_cycles - self._start_cycles) % self._period_cycles
            self._event = timeline.schedule(-(-left * PS_PER_SECOND // timeline.core_hz), self._wrap)

    def _wrap(self) -> None:
        self._event = None
        self._wrapped = True
        if self.registers[CSR] & _TICKINT:
            self._fire()
        self.retime()
