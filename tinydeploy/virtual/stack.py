"""How deep the stack grows: the stack pointer is looked at only where a block lowers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.virtual.counter import Action
from tinydeploy.virtual.cpu import Cpu
from tinydeploy.virtual.decode import Block, Instruction


@dataclass(frozen=True, slots=True)
class _Movement:
    """`lowest_bytes` <= 0: how far below its value at the block's start SP gets; `unknown`: set from a register."""

    lowest_bytes: int
    unknown: bool
    at: Instruction | None


def _step(instruction: Instruction) -> int | None:
    """Bytes by which an instruction that writes SP moves it, or None when only running it tells."""
    operands = instruction.operands
    if instruction.mnemonic in ("push", "vpush"):
        return -4 * instruction.transfers
    if instruction.mnemonic in ("pop", "vpop"):
        return 4 * instruction.transfers
    if instruction.is_memory and instruction.writeback and instruction.base == "sp":
        if instruction.mnemonic in ("ldm", "vldmia", "vstmia"):
            return 4 * instruction.transfers
        if instruction.mnemonic in ("stmdb", "vstmdb"):
            return -4 * instruction.transfers
        return instruction.offset or (operands[-1] if isinstance(operands[-1], int) else None)
    if instruction.mnemonic in ("add", "addw", "sub", "subw") and set(operands[:-1]) == {"sp"}:
        amount = operands[-1]
        if isinstance(amount, int):
            return -amount if instruction.mnemonic.startswith("sub") else amount
    return None


def _movement(block: Block) -> _Movement:
    offset = lowest = 0
    at: Instruction | None = None
    for instruction in block.instructions:
        writes_sp = "sp" in instruction.writes or (instruction.mnemonic == "msr" and "sp" in instruction.text)
        if not writes_sp:
            continue
        step = _step(instruction)
        if step is None:
            return _Movement(lowest, True, instruction if at is None else at)
        offset += step
        if offset < lowest:
            lowest, at = offset, instruction
    return _Movement(lowest, False, at)


class StackWatch:
    """Follows the stack pointer of `cpu`. ``lowest`` is the least value seen; set it to start anew.

    `lowered(sp, instruction)` is told each new lowest value, before the block that reaches it runs where the block
    tells, else right after.
    """

    def __init__(self, cpu: Cpu, lowered: Callable[[int, Instruction], None] = lambda _sp, _instruction: None) -> None:
        self.lowest = 0xFFFF_FFFF
        self._cpu = cpu
        self._lowered = lowered
        self._movements: dict[Block, _Movement] = {}

    def visit(self, previous: Block | None, block: Block) -> Action | None:
        """See ``BlockCounter.visit``."""
        movement = self._movements.get(block)
        if movement is None:
            movement = self._movements[block] = _movement(block)
        before = self._movements.get(previous) if previous is not None else None
        at, lowest_bytes = movement.at, movement.lowest_bytes
        if not lowest_bytes:
            if before is None or not before.unknown:
                return None
            at = before.at
        where, cpu = at or block.instructions[0], self._cpu

        def look() -> None:
            sp = cpu["sp"] + lowest_bytes
            if sp < self.lowest:
                self.lowest = sp
                self._lowered(sp, where)

        return look

    def forget(self) -> None:
        """Memory was loaded anew."""
        self._movements.clear()
