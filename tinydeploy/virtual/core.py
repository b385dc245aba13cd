"""The core of the virtual board: instructions, exceptions, SysTick, cycle counter, and the checks of a strict board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from tinydeploy.cores import Core
from tinydeploy.errors import FirmwareFaultError
from tinydeploy.virtual import nvic, scs
from tinydeploy.virtual.bus import Slot
from tinydeploy.virtual.checks import Cause, StrictChecks
from tinydeploy.virtual.counter import MAX_SLICE_CYCLES, THUMB, Action, BlockCounter, combine
from tinydeploy.virtual.cpu import FETCH, WRITE, Cpu
from tinydeploy.virtual.decode import Block, Instruction
from tinydeploy.virtual.dwt import Dwt
from tinydeploy.virtual.exception_unit import ExceptionUnit
from tinydeploy.virtual.exceptions import EXC_RETURN_MIN
from tinydeploy.virtual.faults import KINDS, Fault
from tinydeploy.virtual.image import FirmwareImage
from tinydeploy.virtual.locate import accessing_instruction
from tinydeploy.virtual.models import CycleModel
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.scs import SystemControl
from tinydeploy.virtual.stack import StackWatch
from tinydeploy.virtual.systick import SysTick
from tinydeploy.virtual.timeline import Timeline
from tinydeploy.virtual.watch import CallWatch

OnFault = Literal["stop", "vector"]
_STACK_LIMITS = ("__stack_limit", "__StackLimit", "_sstack", "__stack_bottom")
_TRAP_SVC, _TRAP_BREAKPOINT, _TRAPS_OF_RETURN = 2, 7, (3, 8)
_UNICORN_UNDEFINED, _UNICORN_EXCEPTION = 10, 21


class CoreModel:
    """One core with its private peripherals (``slots``). `advance` runs it; `fail` stops it for good.

    ``lenient(where, message)`` is told what a device refuses, instead of ``fail``, and of faults that handlers take.
    """

    def __init__(
        self,
        core: Core,
        irq_count: int,
        image: FirmwareImage,
        reset_hz: int,
        on_fault: OnFault,
        model: CycleModel,
        lenient: Callable[[str, str], None] | None = None,
    ) -> None:
        self.image = image
        self.on_fault = on_fault
        self._lenient = lenient
        self.model = model
        self.cpu = Cpu(core)
        self.counter = BlockCounter(self.cpu, self.model)
        self.timeline = Timeline(self.counter, reset_hz)
        self.state = nvic.ExceptionState(irq_count)
        self.failure: FirmwareFaultError | None = None
        self.reset_requested = False
        self.sleeping = False
        self.halted = False  # for a debugger
        self._fault: Fault | None = None
        self._trap: int | None = None
        self._invalid: tuple[str, int, int] | None = None
        self._last_access: tuple[Block | None, int, int] = (None, -1, -1)
        self.systick = SysTick(self.timeline, lambda: self.pend(nvic.SYSTICK))
        self.scs = SystemControl(
            core, self.state, self._exceptions_changed, self._rules_changed, self._trace_changed, self._request_reset
        )
        self.dwt = Dwt(self._cycles_here, lambda: self.scs.trace_enabled, has_lock=core.name == "m7")
        self.stack = StackWatch(self.cpu, self._stack_lowered)
        self.checks = StrictChecks(
            self.cpu,
            self.counter,
            self._report,
            lambda: self.scs.fpu_enabled,
            lambda: self.scs.divides_by_zero,
        )
        stack_limit = next((image.symbols[name].address for name in _STACK_LIMITS if name in image.symbols), None)
        self.exceptions = ExceptionUnit(
            self.cpu, self.counter, self.stack, self.model, self.scs, stack_limit, self.fail
        )
        self.watch = CallWatch(
            self.cpu, self.counter, self.stack, lambda: bool(self.state.active), lambda: self.exceptions.handled
        )
        self.counter.visit = self._visit
        self.cpu.on_interrupt(self._on_interrupt)
        self.cpu.on_invalid(self._on_invalid)

    @property
    def slots(self) -> list[Slot]:
        """The private peripheral bus."""
        debug = (("ITM", 0xE000_0000), ("FPB", 0xE000_2000), ("TPIU", 0xE004_0000))
        return [
            Slot(self.systick, 0x10),
            Slot(self.scs, 0x1000),
            Slot(self.dwt, 0x1000),
            *(Slot(Peripheral(name, base), 0x1000) for name, base in debug),
        ]

    def reset(self, vector_table: int, start: tuple[int, int] | None = None) -> None:
        """As after reset: SP and PC from the vector table or `start`, thread mode, everything off. Memory stays."""
        for peripheral in (self.systick, self.scs, self.dwt):
            peripheral.reset()
        self.state.reset()
        self.exceptions.reset()
        self.watch.reset()
        self.counter.break_sequence()
        self.counter.forget_edges()
        self._rules_changed()
        self.scs.registers[scs.VTOR] = vector_table
        self.failure = self._fault = self._trap = self._invalid = None
        self.reset_requested = self.sleeping = False
        cpu = self.cpu
        cpu["xpsr"] = 0x0100_0000
        for register in ("control", "primask", "basepri", "faultmask", "fpscr", "psp"):
            cpu[register] = 0
        sp, pc = start or (cpu.read_word(vector_table), cpu.read_word(vector_table + 4))
        cpu["msp"] = sp & ~3
        cpu["lr"] = 0xFFFF_FFFF if start is None else 0
        cpu["pc"] = pc
        self.stack.lowest = cpu["msp"]

    def pend(self, number: int) -> None:
        """Make an exception pending."""
        self.state.pending.add(number)
        self._exceptions_changed()

    def set_line(self, irq: int, level: bool) -> None:
        """A peripheral's interrupt line."""
        if self.state.set_line(irq, level):
            self._exceptions_changed()

    def advance(self, until_ps: int) -> None:
        """Run until something other than time needs attention, at most until `until_ps`: one slice."""
        if self.halted:
            return
        if self.state.pending and self._take_exception():
            return
        if self.sleeping:
            if self.state.pending and self.state.wakes(self.exceptions.masks()):
                self.sleeping = False
            else:
                self.timeline.sleep_until(min(until_ps, self.timeline.next_ps or until_ps))
            return
        due = min(until_ps, self.timeline.next_ps or until_ps)
        before = self.counter.instructions
        status = self.counter.run(self.cpu["pc"], min(self.timeline.cycles_until(due), MAX_SLICE_CYCLES))
        if self.halted:
            return
        if self._fault is None and self.failure is None:
            self._classify(status, self.counter.instructions != before)
        if self.failure is None and self._fault is not None:
            fault, self._fault = self._fault, None
            self._take_fault(fault)

    def halt_before(self, address: int) -> None:
        """Stop before the instruction at `address`, which is about to run, for a debugger."""
        self.halted = True
        self.counter.halt()
        self.cpu.stop()
        self.counter.after_run(lambda: self._halted_at(address))

    def _halted_at(self, address: int) -> None:
        self.counter.uncharge_from(address)
        self.counter.break_sequence()

    # What the run ended with

    def _classify(self, status: int, progressed: bool) -> None:
        trap, self._trap = self._trap, None
        invalid, self._invalid = self._invalid, None
        pc = self.cpu["pc"]
        if trap is not None:
            self._trapped(trap, pc)
        elif invalid is not None:
            self._bad_access(*invalid, pc)
        elif not self.cpu["xpsr"] & THUMB:
            self._fault = Fault("state", pc, "branches to an address with bit 0 clear, which asks for Arm state")
        elif status:
            if self._hint(pc) in ("wfe", "yield"):
                self._wait_for_event(pc)
            else:
                self._fault = Fault("undefined", pc, "executes an undefined instruction")
        elif progressed and self._hint(pc) == "wfi":
            self.sleeping = True
            if self.scs.registers[scs.SCR] & 4:
                self.fail("enters a deep sleep mode (SCR.SLEEPDEEP), which the virtual board does not model", pc)

    def _hint(self, pc: int) -> str:
        """The mnemonic of the instruction right before `pc`, if the last block ended there."""
        block = self.counter.block
        return block.last.mnemonic if block is not None and block.end == pc else ""

    def _wait_for_event(self, pc: int) -> None:
        if self._hint(pc) == "wfe":
            if not self.exceptions.event_register:
                self.sleeping = True
            self.exceptions.event_register = False

    def _trapped(self, trap: int, pc: int) -> None:
        if trap == _TRAP_SVC:
            self.pend(nvic.SVCALL)
            if self.state.next_exception(self.exceptions.masks()) != nvic.SVCALL:
                self.state.pending.discard(nvic.SVCALL)
                self._fault = Fault("breakpoint", pc - 2, "executes SVC where its priority does not allow it")
        elif trap == _TRAP_BREAKPOINT:
            self._fault = Fault("breakpoint", pc, "executes BKPT, and no debugger is connected")
        elif trap in _TRAPS_OF_RETURN and pc >= EXC_RETURN_MIN:
            self._return_from_exception(pc)
        elif trap in _TRAPS_OF_RETURN:
            self._fault = Fault("instruction access", pc, f"jumps to 0x{pc:08x}, from which nothing can be executed")
        else:
            self._fault = Fault("undefined", pc, f"raises exception {trap}")

    def _bad_access(self, kind: str, address: int, size: int, pc: int) -> None:
        if kind == FETCH and address >= EXC_RETURN_MIN:
            self._return_from_exception(address)  # the emulated Cortex-M0 has no trap for it
            return
        if kind == FETCH:
            self._fault = Fault("instruction bus", pc, f"jumps to 0x{address:08x}, where no memory is")
            return
        self.counter.uncharge_from(pc)
        what = f"{kind}s {size} bytes at 0x{address:08x}"
        if kind == WRITE and self._mapped(address):  # there, and the write was refused
            message = f"{what}, which is flash"
        else:
            message = f"{what}, where nothing is mapped"
        sp = self.cpu["sp"]
        if abs(address - sp) < 1024 and not self._mapped(sp - 4):
            message += f"; the stack has overflowed (SP 0x{sp:08x})"
        self._fault = Fault("data bus", pc, message, address)

    def _mapped(self, address: int) -> bool:
        try:
            self.cpu.read_word(address & ~3)
        except self.cpu.MemoryError:
            return False
        return True

    # Faults

    def fail(self, message: str, pc: int | None = None) -> None:
        """Stop for good: silicon would fail in a way that firmware cannot see."""
        if self.failure is None:
            where = self.image.describe(self.cpu["pc"] if pc is None else pc)
            self.failure = FirmwareFaultError(f"{self.image.path.name}: {where}: {message}")
        self.counter.halt()
        self.cpu.stop()

    def fail_access(self, address: int, is_write: bool, message: str) -> None:
        """`fail` for an access of the running block to a device."""
        block = self.counter.block
        index = accessing_instruction(self.cpu, block, address, is_write) if block is not None else None
        pc = block.instructions[index].address if block is not None and index is not None else self.cpu["pc"]
        if self._lenient is not None:
            self._lenient(self.image.describe(pc), f"{message} (0x{address:08x})")
            return
        self.fail(f"{message} (0x{address:08x})", pc)

    def _report(self, instruction: Instruction, cause: Cause) -> None:
        words = {
            "unaligned": f"'{instruction.text}' at an address that is not a multiple of 4",
            "no_fpu": f"'{instruction.text}' while the FPU is off; enable it in CPACR first",
            "division": f"'{instruction.text}' divides by zero with CCR.DIV_0_TRP set",
        }
        self._fault = self._fault or Fault(cause, instruction.address, words[cause])
        self.counter.halt()
        self.cpu.stop()

    def _stack_lowered(self, sp: int, instruction: Instruction) -> None:
        if self.exceptions.below_limit(sp):
            self.fail(
                f"the stack has overflowed: SP goes to 0x{sp:08x}, below __stack_limit "
                f"0x{self.exceptions.stack_limit:08x}",
                instruction.address,
            )

    def _take_fault(self, fault: Fault) -> None:
        if self.on_fault == "stop":
            self.fail(fault.message, fault.pc)
            return
        if fault.kind in ("unaligned", "no_fpu", "division"):
            self.counter.uncharge_from(fault.pc)
        kind, registers = KINDS[fault.kind], self.scs.registers
        registers[scs.CFSR] |= kind.cfsr
        if kind.with_address and fault.address is not None:
            registers[scs.BFAR] = fault.address
        self._raise(kind.exception, fault)

    def _raise(self, number: int, fault: Fault) -> None:
        """Enter the fault's handler, HardFault if it cannot run, or lock up."""
        priority = self.state.execution_priority(self.exceptions.masks())
        registers = self.scs.registers
        if number == nvic.HARD_FAULT:
            registers[scs.HFSR] |= 1 << 31
        elif number not in self.state.enabled or self.state.priority(number) >= priority:
            number = nvic.HARD_FAULT
            registers[scs.HFSR] |= 1 << 30  # FORCED
        if self.state.priority(number) >= priority:
            self.fail(f"{fault.message}, inside {nvic.NAMES[nvic.HARD_FAULT]}: the core locks up", fault.pc)
            return
        if self._lenient is not None:
            self._lenient(self.image.describe(fault.pc), f"{fault.message}; {nvic.NAMES[number]} is taken")
        self.exceptions.enter(number, fault.pc)

    # Exceptions

    def _take_exception(self) -> bool:
        number = self.state.next_exception(self.exceptions.masks())
        if number is None:
            return False
        self.sleeping = False
        self.exceptions.enter(number, self.cpu["pc"])
        return True

    def _return_from_exception(self, pc: int) -> None:
        self._fault = self.exceptions.leave(pc)
        if self._fault is None and not self.state.active and self.scs.registers[scs.SCR] & 2:
            self.sleeping = True  # SLEEPONEXIT

    # Callbacks from code that runs

    def _visit(self, previous: Block | None, block: Block) -> Action | None:
        return combine(
            self.watch.visit(block),
            self.stack.visit(previous, block),
            self.checks.visit(previous, block),
            self._stop_if_unmasked if previous is not None and self._can_unmask(previous) else None,
        )

    def _stop_if_unmasked(self) -> None:
        if self.state.pending and self.state.next_exception(self.exceptions.masks()) is not None:
            self.counter.halt()

    @staticmethod
    def _can_unmask(block: Block) -> bool:
        return any(instruction.mnemonic in ("cps", "msr") for instruction in block.instructions)

    def _on_interrupt(self, number: int) -> None:
        self._trap = number
        self.cpu.stop()

    def _on_invalid(self, kind: str, address: int, size: int) -> None:
        self._invalid = (kind, address, size)

    def _exceptions_changed(self) -> None:
        self.counter.limit(0)

    def _rules_changed(self) -> None:
        self.checks.forget()
        self.counter.after_run(self.counter.forget_edges)

    def _trace_changed(self) -> None:
        self.dwt.trace_changed()

    def _request_reset(self) -> None:
        self.reset_requested = True
        self.counter.limit(0)

    def _cycles_here(self) -> int:
        """Cycles at the instruction that reads or writes the DWT, which lies inside the running block."""
        counter = self.counter
        block = counter.block
        if block is None:
            return counter.cycles
        last_block, last_total, last_index = self._last_access
        after = last_index if last_block is block and last_total == counter.instructions else -1
        address = self.dwt.base + 4
        index = accessing_instruction(self.cpu, block, address, False, after)
        if index is None:
            return counter.cycles
        self._last_access = (block, counter.instructions, index)
        return counter.cycles_before(index)

    def run_due(self) -> None:
        """Do what is due on the timeline; what fails in there is a failure of the firmware."""
        try:
            self.timeline.run_due()
        except SiliconError as error:
            if self._lenient is None:
                self.fail(str(error))
            else:
                self._lenient(self.image.describe(self.cpu["pc"]), str(error))
