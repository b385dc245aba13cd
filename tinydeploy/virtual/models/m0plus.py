"""Cortex-M0+ cycles by its Technical Reference Manual (DDI 0484, "Instruction set summary"), zero wait states.

One cycle; loads and stores 2; LDM, STM, PUSH and POP 1 + N, and 2 more where POP loads the PC; a taken branch 2, BL 3,
BX and BLX 2; MUL 1 (the fast multiplier); DSB, DMB, ISB and MSR 3.
"""

from __future__ import annotations

from tinydeploy.virtual.decode import Block, Instruction


class CortexM0Plus:
    """Cortex-M0+ at zero wait states."""

    name = "Cortex-M0+ TRM rules"
    statement = "Cortex-M0+ TRM rules, zero wait states, single-cycle multiplier (estimate)"
    exception_entry = 15
    exception_return = 13

    def cycles(self, previous: Block | None, block: Block) -> int:
        """Cycles of `block` after `previous`, as ``CycleModel`` states."""
        before = previous.last if previous is not None else None
        taken = before is not None and "pc" in before.writes and (block.address != before.end or not before.conditional)
        refill = 0
        if taken and before is not None:
            refill = 2 if before.mnemonic in ("bl", "pop") else 1
        return refill + self.prefix(block, block.count)

    def prefix(self, block: Block, count: int) -> int:
        """Cycles of the first `count` instructions of `block`."""
        return self.straight(block.instructions[:count])

    @staticmethod
    def straight(instructions: tuple[Instruction, ...]) -> int:
        """Cycles of straight-line code, without refills."""
        return sum(map(_cost, instructions))


def _cost(instruction: Instruction) -> int:
    if instruction.is_memory:
        return 1 + instruction.transfers
    return 3 if instruction.mnemonic in ("dsb", "dmb", "isb", "msr", "mrs") else 1
