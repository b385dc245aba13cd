"""The cycle counter of the data watchpoint and trace unit (Armv7-M ARM C1.8): CYCCNT runs on the cycle model."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.virtual.peripheral import Peripheral

CTRL, CYCCNT, LAR, LSR = 0x000, 0x004, 0xFB0, 0xFB4
_CYCCNTENA = 1
_UNLOCK_KEY = 0xC5AC_CE55
_CTRL_RESET = 0x4000_0000  # four comparators


class Dwt(Peripheral):
    """Registers at 0xE0001000. `cycles()` is the core's cycle count at the running instruction; it stops in sleep.

    Writes are ignored while `has_lock` and the lock is closed (CoreSight lock access register: Cortex-M7), and CYCCNT
    stands still until DEMCR.TRCENA is set.
    """

    def __init__(self, cycles: Callable[[], int], trace_enabled: Callable[[], bool], has_lock: bool) -> None:
        super().__init__("DWT", 0xE000_1000, {CTRL: _CTRL_RESET, CYCCNT: 0, LAR: 0, LSR: 0})
        self._cycles = cycles
        self._trace_enabled = trace_enabled
        self._has_lock = has_lock
        self._locked = has_lock
        self._from_cycles: int | None = None  # None: standing still
        self.readers = {CYCCNT: self._read_cyccnt, LSR: self._read_lsr, LAR: lambda: 0}
        self.writers = {CTRL: self._write_ctrl, CYCCNT: self._write_cyccnt, LAR: self._write_lar}

    def reset(self) -> None:
        """Counting off, lock closed."""
        super().reset()
        self._locked = self._has_lock
        self._from_cycles = None

    def trace_changed(self) -> None:
        """DEMCR.TRCENA was written."""
        self._settle()

    def _settle(self) -> None:
        """Bring the stored count up to date and count on if everything is enabled."""
        self.registers[CYCCNT] = self._read_cyccnt()
        running = bool(self.registers[CTRL] & _CYCCNTENA) and self._trace_enabled()
        self._from_cycles = self._cycles() if running else None

    def _read_cyccnt(self) -> int:
        gone = 0 if self._from_cycles is None else self._cycles() - self._from_cycles
        return (self.registers[CYCCNT] + gone) & 0xFFFF_FFFF

    def _write_ctrl(self, value: int) -> None:
        if not self._locked:
            self._settle()
            self.registers[CTRL] = _CTRL_RESET | value & 0x0FFF_FFFF
            self._settle()

    def _write_cyccnt(self, value: int) -> None:
        if not self._locked:
            self._settle()
            self.registers[CYCCNT] = value

    def _write_lar(self, value: int) -> None:
        if self._has_lock:
            self._locked = value != _UNLOCK_KEY

    def _read_lsr(self) -> int:
        return int(self._has_lock) | int(self._locked) << 1
