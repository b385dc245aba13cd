"""Cortex-M7 cycles by its pipeline as others measured it (``m7_pipeline.py``), with memory that answers at once.

A branch is predicted, and takes no more than its slot; a conditional branch back that falls through, as at the end of
a loop, is taken for a misprediction.
"""

from __future__ import annotations

from tinydeploy.virtual.decode import Block, Instruction
from tinydeploy.virtual.models.events import ends_loop
from tinydeploy.virtual.models.m7_pipeline import issue_cycles

MISPREDICT_CYCLES = 8
_TAIL = 6  # instructions of the block before that can still hold the next one back


class CortexM7:
    """Cortex-M7 at zero wait states, caches that always hit."""

    name = "Cortex-M7 pipeline rules"
    statement = "Cortex-M7 pipeline rules as others measured them, zero wait states (estimate)"
    exception_entry = 12
    exception_return = 10

    def cycles(self, previous: Block | None, block: Block) -> float:
        """Cycles of `block` after `previous`, as ``CycleModel`` states."""
        return self.straight(previous, block.instructions)

    def prefix(self, block: Block, count: int) -> float:
        """Cycles of the first `count` instructions of `block`."""
        return issue_cycles(block.instructions[:count])

    @staticmethod
    def straight(previous: Block | None, instructions: tuple[Instruction, ...]) -> float:
        """Cycles of `instructions` after `previous`, in halves."""
        tail = previous.instructions[-_TAIL:] if previous is not None else ()
        mispredicted = bool(tail and instructions) and ends_loop(tail[-1], instructions[0].address)
        return issue_cycles(tail + instructions) - issue_cycles(tail) + mispredicted * MISPREDICT_CYCLES
