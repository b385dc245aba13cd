"""Exceptions as the core decides them: pending, enabled, active, priorities (Armv7-M ARM B1.5).

Exception numbers throughout: 3 HardFault, 11 SVCall, 15 SysTick, 16 + n for interrupt n.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NMI, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT, SVCALL, DEBUG_MONITOR, PENDSV, SYSTICK = (
    2,
    3,
    4,
    5,
    6,
    11,
    12,
    14,
    15,
)
FIRST_IRQ = 16
PRIORITY_BITS = 4  # STM32 F7 and L4+
_FIXED = {1: -3, NMI: -2, HARD_FAULT: -1}
THREAD_PRIORITY = 256

NAMES = {
    NMI: "NMI", HARD_FAULT: "HardFault", MEM_MANAGE: "MemManage", BUS_FAULT: "BusFault", USAGE_FAULT: "UsageFault",
    SVCALL: "SVCall", DEBUG_MONITOR: "DebugMonitor", PENDSV: "PendSV", SYSTICK: "SysTick",
}  # fmt: skip


@dataclass(slots=True)
class Masks:
    """PRIMASK, FAULTMASK, BASEPRI at one moment."""

    primask: bool
    faultmask: bool
    basepri: int


@dataclass(slots=True)
class ExceptionState:
    """Which exceptions are pending, enabled and active. `irq_count` interrupts exist."""

    irq_count: int
    pending: set[int] = field(default_factory=set)
    enabled: set[int] = field(default_factory=set)
    active: list[int] = field(default_factory=list)
    priorities: dict[int, int] = field(default_factory=dict)
    lines: set[int] = field(default_factory=set)
    group_shift: int = 0  # AIRCR.PRIGROUP

    def reset(self) -> None:
        """To the state after reset: interrupts off, priorities 0."""
        for state in (self.pending, self.enabled, self.lines):
            state.clear()
        self.active.clear()
        self.priorities.clear()
        self.group_shift = 0
        self.enabled.update((NMI, HARD_FAULT, SVCALL, PENDSV, SYSTICK))

    def set_line(self, irq: int, level: bool) -> bool:
        """The interrupt line of a peripheral: a rising edge pends, and a line still high pends again at return.

        True when something became pending.
        """
        number = FIRST_IRQ + irq
        if not level:
            self.lines.discard(number)
            return False
        if number in self.lines:
            return False
        self.lines.add(number)
        self.pending.add(number)
        return True

    def priority(self, number: int) -> int:
        """The priority of an exception; lower is more urgent."""
        fixed = _FIXED.get(number)
        return self.priorities.get(number, 0) if fixed is None else fixed

    def _group(self, priority: int) -> int:
        return priority if priority < 0 else priority >> (self.group_shift + 1) << (self.group_shift + 1)

    def execution_priority(self, masks: Masks) -> int:
        """The priority that a new exception must beat."""
        current = min((self._group(self.priority(number)) for number in self.active), default=THREAD_PRIORITY)
        if masks.basepri:
            current = min(current, self._group(masks.basepri))
        if masks.primask:
            current = min(current, 0)
        if masks.faultmask:
            current = min(current, -1)
        return current

    def next_exception(self, masks: Masks) -> int | None:
        """The pending exception that is taken now, if any: highest priority, then lowest number."""
        ready = [number for number in self.pending if number in self.enabled]
        if not ready:
            return None
        number = min(ready, key=lambda candidate: (self.priority(candidate), candidate))
        return number if self._group(self.priority(number)) < self.execution_priority(masks) else None

    def wakes(self, masks: Masks) -> bool:
        """Does something pending end WFI? PRIMASK does not count there (B1.5.19)."""
        return self.next_exception(Masks(False, masks.faultmask, masks.basepri)) is not None

    def activate(self, number: int) -> None:
        """The exception is entered."""
        self.pending.discard(number)
        self.active.append(number)

    def deactivate(self, number: int) -> None:
        """The exception returns; a line that is still high pends it again."""
        self.active.remove(number)
        if number in self.lines:
            self.pending.add(number)
