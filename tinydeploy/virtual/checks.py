"""What the emulator lets pass and silicon does not: FP with the FPU off, unaligned LDRD and LDM, division by zero.

Whether a block needs a closer look is decided when it begins; then a hook on the instruction itself tells
`report(instruction, cause)` right before it would act, so that a fault handler finds the core as silicon leaves it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tinydeploy.virtual.alignment import AlignmentChecks, alignment_checks
from tinydeploy.virtual.counter import Action, AlignmentLook, BlockCounter
from tinydeploy.virtual.cpu import Cpu, RegisterList
from tinydeploy.virtual.decode import Block, Instruction
from tinydeploy.virtual.native import MOST_BASES

Cause = Literal["unaligned", "no_fpu", "division"]
Report = Callable[[Instruction, Cause], None]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What to watch in one block. ``look`` checks alignment when it begins."""

    floats: tuple[Instruction, ...]
    look: Action | None
    holds_in_loop: bool


class StrictChecks:
    """Checks of one `Cpu`, asked through ``visit`` as `BlockCounter` asks."""

    def __init__(
        self,
        cpu: Cpu,
        counter: BlockCounter,
        report: Report,
        fpu_enabled: Callable[[], bool] = lambda: True,
        divides_by_zero: Callable[[], bool] | None = None,
    ) -> None:
        self._cpu = cpu
        self._counter = counter
        self._fpu_enabled = fpu_enabled
        self._divides_by_zero = divides_by_zero
        self._report = report
        self._facts: dict[Block, _Facts] = {}
        self._hooked: set[int] = set()

    def visit(self, previous: Block | None, block: Block) -> Action | None:
        """What to check each time that `block` follows `previous`."""
        facts = self._facts.get(block)
        if facts is None:
            facts = self._facts[block] = self._examine(block)
        if facts.floats and not self._fpu_enabled():
            self._watch(facts.floats[0])
        return None if previous is block and facts.holds_in_loop else facts.look

    def forget(self) -> None:
        """Memory was loaded anew, or the rules changed."""
        self._facts.clear()

    def _examine(self, block: Block) -> _Facts:
        floats = tuple(instruction for instruction in block.instructions if instruction.is_float)
        alignment = alignment_checks(block, self._cpu.read_word)
        to_hook = [instruction for instruction in floats if instruction.in_it_block]
        if alignment is not None:
            to_hook += alignment.hooked
        if self._divides_by_zero is not None:
            to_hook += [instruction for instruction in block.instructions if instruction.kind == "divide"]
        for instruction in to_hook:
            self._watch(instruction)
        if alignment is None or not alignment.at_entry:
            return _Facts(floats, None, False)
        return _Facts(floats, self._alignment_look(alignment), alignment.holds_in_loop)

    def _alignment_look(self, alignment: AlignmentChecks) -> Action:
        names = alignment.registers
        registers, read_registers, read_word = RegisterList(*names), self._cpu.read_registers, self._cpu.read_word
        simple = all(
            not base.constant and len(base.terms) == 1 and base.terms[0][1] == 1 and not base.uses_memory
            for _, base in alignment.at_entry
        )

        def look() -> None:
            values = read_registers(registers)
            try:
                bad = alignment.unaligned(dict(zip(names, values, strict=True)), read_word)
            except self._cpu.MemoryError:
                return  # the load of the base will fault by itself
            if bad is not None:
                self._watch(bad)

        return AlignmentLook(names, look) if simple and len(names) <= MOST_BASES else look

    def _watch(self, instruction: Instruction) -> None:
        """From now on look at this instruction each time; code that runs must stop for that once."""
        if instruction.address not in self._hooked:
            self._hooked.add(instruction.address)
            self._counter.after_run(functools.partial(self._hook, instruction))

    def _hook(self, instruction: Instruction) -> None:
        if instruction.is_float or instruction.kind == "divide":
            self._cpu.on_instruction(instruction.address, lambda _uc, _address, _size: self._look(instruction))
        elif instruction.base is not None:
            self._cpu.on_unaligned_base(instruction.address, instruction.base, lambda: self._look(instruction))

    def _look(self, instruction: Instruction) -> None:
        """Right before `instruction` acts; it is not called where an IT block skips it."""
        if instruction.kind == "divide":
            if (
                self._divides_by_zero is not None
                and not self._divides_by_zero()
                and self._cpu[str(instruction.operands[-1])] == 0
            ):
                self._report(instruction, "division")
        elif instruction.is_float and not self._fpu_enabled():
            self._report(instruction, "no_fpu")
        elif instruction.base is not None and self._cpu[instruction.base] & 3:
            self._report(instruction, "unaligned")
