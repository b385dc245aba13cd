"""Taking an exception and returning from it: the vector, the frame, what it costs, and what was spent in handlers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tinydeploy.virtual import exceptions, nvic, scs
from tinydeploy.virtual.counter import BlockCounter
from tinydeploy.virtual.cpu import Cpu, RegisterList
from tinydeploy.virtual.faults import Fault
from tinydeploy.virtual.models import CycleModel
from tinydeploy.virtual.scs import SystemControl
from tinydeploy.virtual.stack import StackWatch

_MASK_REGISTERS = RegisterList("primask", "faultmask", "basepri")


@dataclass(slots=True, eq=False)
class ExceptionUnit:
    """Entry and return for one core. `fail(message, pc)` is told what silicon cannot go on from.

    ``handled``: instructions and cycles of the exceptions that have ended, nested ones once. ``event_register`` is
    what WFE looks at. ``stack_limit``: the lowest address of the main stack, where the ELF names it.
    """

    cpu: Cpu
    counter: BlockCounter
    stack: StackWatch
    model: CycleModel
    system: SystemControl
    stack_limit: int | None
    fail: Callable[[str, int], None]
    handled: tuple[int, int] = field(default=(0, 0), init=False)
    event_register: bool = field(default=False, init=False)
    _start: tuple[int, int, int] | None = field(default=None, init=False)

    def reset(self) -> None:
        """No exception is active."""
        self._start = None

    def masks(self) -> nvic.Masks:
        """PRIMASK, FAULTMASK, BASEPRI now."""
        primask, faultmask, basepri = self.cpu.read_registers(_MASK_REGISTERS)
        return nvic.Masks(bool(primask & 1), bool(faultmask & 1), basepri & 0xFF)

    def below_limit(self, sp: int) -> bool:
        """Is the main stack in use, and would `sp` lie below its end?"""
        return self.stack_limit is not None and sp < self.stack_limit and not self.cpu["control"] & 2

    def enter(self, number: int, return_address: int) -> None:
        """Stack the running code, which goes on at `return_address`, and start the handler of `number`."""
        vector = self.system.registers[scs.VTOR] + 4 * number
        try:
            handler = self.cpu.read_word(vector)
            if not self.system.state.active:
                self._start = self.counter.instructions, self.counter.cycles, self.stack.lowest
            align8 = bool(self.system.registers[scs.CCR] & 0x200)
            exceptions.enter(self.cpu, number, return_address & ~1, handler, align8, self.system.registers[scs.FPDSCR])
        except exceptions.StackingError as error:
            self.fail(f"the stack has overflowed: {error}", return_address)
            return
        except self.cpu.MemoryError:
            self.fail(f"exception {number} has no vector: 0x{vector:08x} is not in memory", return_address)
            return
        if not handler & 1:
            self.fail(f"the vector of exception {number} is 0x{handler:08x}; bit 0 must be set", return_address)
            return
        self.event_register = True
        self.system.state.activate(number)
        self.counter.break_sequence()
        self.counter.add_cycles(self.model.exception_entry)
        sp = self.cpu["sp"]
        self.stack.lowest = sp
        if self.below_limit(sp):
            self.fail(
                f"the stack has overflowed: an exception frame lies at 0x{sp:08x}, below __stack_limit", return_address
            )

    def leave(self, pc: int) -> Fault | None:
        """Return by the EXC_RETURN `pc` (bit 0 may be lost); the fault that it is, if it is one."""
        active = self.cpu["xpsr"] & 0x1FF
        block = self.counter.block
        at = block.last.address if block is not None else pc
        value = f"returns with EXC_RETURN 0x{pc | 1:08x}"
        if active not in self.system.state.active:
            return Fault("return", at, f"{value}, and no exception is active")
        if pc & 0xF not in (0x0, 0x8, 0xC) or bool(pc & 8) != (len(self.system.state.active) == 1):
            return Fault("return", at, f"{value}, which does not fit what is active")
        if active != nvic.NMI:
            self.cpu["faultmask"] = 0
        try:
            exceptions.leave(self.cpu, pc)
        except exceptions.StackingError as error:
            return Fault("unstacking", at, str(error))
        self.system.state.deactivate(active)
        self.event_register = True
        self.counter.break_sequence()
        self.counter.add_cycles(self.model.exception_return)
        if not self.system.state.active and self._start is not None:
            instructions, cycles, lowest = self._start
            self.handled = (
                self.handled[0] + self.counter.instructions - instructions,
                self.handled[1] + self.counter.cycles - cycles,
            )
            self.stack.lowest = lowest
            self._start = None
        return None
