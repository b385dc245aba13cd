"""The system control space (Armv7-M ARM B3.2, B3.4): NVIC, system control block, caches' and FPU's registers."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.cores import Core
from tinydeploy.virtual.nvic import (
    BUS_FAULT,
    FIRST_IRQ,
    MEM_MANAGE,
    NMI,
    PENDSV,
    PRIORITY_BITS,
    SVCALL,
    SYSTICK,
    USAGE_FAULT,
    ExceptionState,
)
from tinydeploy.virtual.peripheral import Peripheral

ISER, ICER, ISPR, ICPR, IABR, IPR = 0x100, 0x180, 0x200, 0x280, 0x300, 0x400
CPUID, ICSR, VTOR, AIRCR, SCR, CCR, SHPR1, SHCSR = 0xD00, 0xD04, 0xD08, 0xD0C, 0xD10, 0xD14, 0xD18, 0xD24
CFSR, HFSR, DFSR, MMFAR, BFAR, AFSR, CPACR, DEMCR = 0xD28, 0xD2C, 0xD30, 0xD34, 0xD38, 0xD3C, 0xD88, 0xDFC
STIR, FPCCR, FPCAR, FPDSCR = 0xF00, 0xF34, 0xF38, 0xF3C
_AIRCR_KEY = 0x05FA
_PRIORITY_MASK = (0xFF << (8 - PRIORITY_BITS)) & 0xFF
_SHCSR_ENABLES = {16: MEM_MANAGE, 17: BUS_FAULT, 18: USAGE_FAULT}

# CPUID of the revisions in these chips; CLIDR, CTR, and CCSIDR of data and instruction cache (F74x: 4 KiB each).
_CPUID = {"m0plus": 0x410C_C601, "m4": 0x410F_C241, "m7": 0x410F_C271, "m33": 0x410F_D214}
_CCR_RESET = {"m7": 0x0004_0200}
_M7_CACHE = {0xD78: 0x0900_0003, 0xD7C: 0x8303_C003}
_M7_CCSIDR = {0: 0xF003_E019, 1: 0xF007_E009}  # 32 sets of 4 ways; 64 sets of 2 ways; lines of 32 bytes
_M7_CACHE_OPERATIONS = range(0xF50, 0xF7C, 4)
_M7_TCM = {0xF90: 0x1, 0xF94: 0x1, 0xF98: 0x1, 0xF9C: 0}


class SystemControl(Peripheral):
    """Registers at 0xE000E000, SysTick's excepted.

    `changed()` is called when something may have become pending or unmasked, `rules_changed()` on a write to CPACR or
    CCR, `trace_changed()` on a write to DEMCR, `reset_requested()` on AIRCR.SYSRESETREQ.
    """

    def __init__(
        self,
        core: Core,
        state: ExceptionState,
        changed: Callable[[], None],
        rules_changed: Callable[[], None],
        trace_changed: Callable[[], None],
        reset_requested: Callable[[], None],
    ) -> None:
        reset = {
            0x004: (state.irq_count - 1) // 32,  # ICTR
            0x008: 0,  # ACTLR
            CPUID: _CPUID[core.name],
            ICSR: 0, VTOR: 0, AIRCR: 0, SCR: 0, CCR: _CCR_RESET.get(core.name, 0x200),
            SHPR1: 0, SHPR1 + 4: 0, SHPR1 + 8: 0, SHCSR: 0,
            CFSR: 0, HFSR: 0, DFSR: 0, MMFAR: 0, BFAR: 0, AFSR: 0, CPACR: 0, DEMCR: 0,
            FPCCR: 0xC000_0000 if core.fpu != "none" else 0, FPCAR: 0, FPDSCR: 0,
            0xD90: 0x800, 0xD94: 0, 0xD98: 0, 0xD9C: 0, 0xDA0: 0,  # MPU: eight regions; kept, not enforced
        }  # fmt: skip
        if core.caches:
            reset |= _M7_CACHE | _M7_TCM | {0xD84: 0}
        super().__init__("SCB", 0xE000_E000, reset)
        self.state = state
        self.fpu_present = core.fpu != "none"
        self._changed = changed
        self._rules_changed = rules_changed
        self._trace_changed = trace_changed
        self._reset_requested = reset_requested
        self._attach_nvic()
        self.readers |= {ICSR: self._read_icsr, AIRCR: self._read_aircr, SHCSR: self._read_shcsr}
        self.writers |= {
            ICSR: self._write_icsr, AIRCR: self._write_aircr, SHCSR: self._write_shcsr, STIR: self._write_stir,
            CPACR: self._write_cpacr, CCR: self._write_ccr, DEMCR: self._write_demcr, CPUID: lambda _value: None,
            CFSR: lambda value: self._clear(CFSR, value), HFSR: lambda value: self._clear(HFSR, value),
            DFSR: lambda value: self._clear(DFSR, value), 0x004: lambda _value: None, 0xD90: lambda _value: None,
        }  # fmt: skip
        for index in range(3):
            self._attach_priorities(SHPR1 + 4 * index, 4 + 4 * index)
        if core.caches:
            self.readers[0xD80] = lambda: _M7_CCSIDR.get(self.registers[0xD84] & 0xF, 0)
            for offset in _M7_CACHE_OPERATIONS:
                self.readers[offset] = lambda: 0
                self.writers[offset] = lambda _value: None

    @property
    def fpu_enabled(self) -> bool:
        """CPACR gives full access to coprocessors 10 and 11."""
        return self.fpu_present and self.registers[CPACR] >> 20 & 0xF == 0xF

    @property
    def divides_by_zero(self) -> bool:
        """CCR.DIV_0_TRP is clear: a division by zero gives 0."""
        return not self.registers[CCR] & 1 << 4

    @property
    def trace_enabled(self) -> bool:
        """DEMCR.TRCENA."""
        return bool(self.registers[DEMCR] & 1 << 24)

    def _attach_nvic(self) -> None:
        words = (self.state.irq_count + 31) // 32
        for word in range(words):
            first = FIRST_IRQ + 32 * word
            for offset in (ISER, ICER):
                self.readers[offset + 4 * word] = lambda first=first: self._bits(self.state.enabled, first)  # type: ignore[misc]
            for offset in (ISPR, ICPR):
                self.readers[offset + 4 * word] = lambda first=first: self._bits(self.state.pending, first)  # type: ignore[misc]
            self.readers[IABR + 4 * word] = lambda first=first: self._bits(self.state.active, first)  # type: ignore[misc]
            for offset, target, add in (
                (ISER, self.state.enabled, True),
                (ICER, self.state.enabled, False),
                (ISPR, self.state.pending, True),
                (ICPR, self.state.pending, False),
            ):
                self.writers[offset + 4 * word] = lambda value, first=first, target=target, add=add: self._set(  # type: ignore[misc]
                    target, first, value, add
                )
        for word in range((self.state.irq_count + 3) // 4):
            self._attach_priorities(IPR + 4 * word, FIRST_IRQ + 4 * word)

    def _attach_priorities(self, offset: int, first: int) -> None:
        def read() -> int:
            return sum(self.state.priorities.get(first + index, 0) << 8 * index for index in range(4))

        def write(value: int) -> None:
            for index in range(4):
                self.state.priorities[first + index] = value >> 8 * index & _PRIORITY_MASK
            self.registers[offset] = read()  # so that byte writes keep their neighbours
            self._changed()

        self.readers[offset], self.writers[offset] = read, write

    @staticmethod
    def _bits(numbers: set[int] | list[int], first: int) -> int:
        return sum(1 << number - first for number in numbers if first <= number < first + 32)

    def _set(self, target: set[int], first: int, value: int, add: bool) -> None:
        numbers = {
            first + bit for bit in range(32) if value >> bit & 1 and first + bit < FIRST_IRQ + self.state.irq_count
        }
        if add:
            target |= numbers
        else:
            target -= numbers
            if target is self.state.pending:
                target |= numbers & self.state.lines  # a level that is still there pends again at once
        self._changed()

    def _read_icsr(self) -> int:
        state = self.state
        active = state.active[-1] if state.active else 0
        pending = min((n for n in state.pending if n in state.enabled), key=lambda n: (state.priority(n), n), default=0)
        return (
            active
            | (len(state.active) <= 1) << 11  # RETTOBASE
            | pending << 12
            | any(number >= FIRST_IRQ for number in state.pending) << 22
            | (SYSTICK in state.pending) << 26
            | (PENDSV in state.pending) << 28
            | (NMI in state.pending) << 31
        )

    def _write_icsr(self, value: int) -> None:
        pending = self.state.pending
        for bit, number in ((31, NMI), (28, PENDSV), (26, SYSTICK)):
            if value >> bit & 1:
                pending.add(number)
        for bit, number in ((27, PENDSV), (25, SYSTICK)):
            if value >> bit & 1:
                pending.discard(number)
        self._changed()

    def _read_aircr(self) -> int:
        return 0xFA05_0000 | self.state.group_shift << 8

    def _write_aircr(self, value: int) -> None:
        if value >> 16 != _AIRCR_KEY:
            return
        self.state.group_shift = value >> 8 & 7
        if value & 4:
            self._reset_requested()
        self._changed()

    def _read_shcsr(self) -> int:
        state = self.state
        value = sum(1 << bit for bit, number in _SHCSR_ENABLES.items() if number in state.enabled)
        for bit, number in (
            (0, MEM_MANAGE),
            (1, BUS_FAULT),
            (3, USAGE_FAULT),
            (7, SVCALL),
            (10, PENDSV),
            (11, SYSTICK),
        ):
            value |= (number in state.active) << bit
        for bit, number in ((12, USAGE_FAULT), (13, MEM_MANAGE), (14, BUS_FAULT), (15, SVCALL)):
            value |= (number in state.pending) << bit
        return value

    def _write_shcsr(self, value: int) -> None:
        for bit, number in _SHCSR_ENABLES.items():
            if value >> bit & 1:
                self.state.enabled.add(number)
            else:
                self.state.enabled.discard(number)
        self._changed()

    def _write_stir(self, value: int) -> None:
        if value & 0x1FF < self.state.irq_count:
            self.state.pending.add(FIRST_IRQ + (value & 0x1FF))
            self._changed()

    def _write_cpacr(self, value: int) -> None:
        self.registers[CPACR] = value & 0x00F0_0000 if self.fpu_present else 0
        self._rules_changed()

    def _write_ccr(self, value: int) -> None:
        self.registers[CCR] = value
        self._rules_changed()

    def _write_demcr(self, value: int) -> None:
        self.registers[DEMCR] = value
        self._trace_changed()

    def _clear(self, offset: int, value: int) -> None:
        """Write one to clear."""
        self.registers[offset] &= ~value
