"""What costs a calibrated chip time beside its core's rules: events of an edge, a pair of blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tinydeploy.virtual.decode import Block, Instruction


def is_taken(previous: Block | None, block: Block) -> bool:
    """Did `previous` branch to `block`?"""
    if previous is None:
        return False
    last = previous.last
    return "pc" in last.writes and (block.address != last.end or not last.conditional)


def _upper_word_branches(previous: Block | None, block: Block) -> int:
    """Branches to the upper word of a 64-bit line of flash: the line after it is wanted at once."""
    return int(is_taken(previous, block) and block.address % 8 >= 4)


def _load_uses(previous: Block | None, block: Block) -> int:
    """Instructions that need what the one right before them loads."""
    count = 0
    for before, instruction in _pairs(previous, block):
        if before.kind == "load":
            loaded = before.writes - {before.base} if before.writeback else before.writes
            count += bool(loaded & instruction.reads)
    return count


def _stores_after_access(previous: Block | None, block: Block) -> int:
    """Stores right behind another load or store."""
    return sum(instruction.kind == "store" and before.is_memory for before, instruction in _pairs(previous, block))


def _loop_ends(previous: Block | None, block: Block) -> int:
    """Conditional branches back that fall through, as at the end of a loop."""
    return int(previous is not None and ends_loop(previous.last, block.address))


def ends_loop(last: Instruction, following: int) -> bool:
    """Is `last` a conditional branch back that fell through, to `following`?"""
    is_back = last.mnemonic in ("b", "cbz", "cbnz") and last.conditional and _target(last) <= last.address
    return is_back and following == last.end


def _pairs(previous: Block | None, block: Block) -> Iterator[tuple[Instruction, Instruction]]:
    """Each instruction of `block` with the one before it, where that one ran right before."""
    before = previous.last if previous is not None and not is_taken(previous, block) else None
    for instruction in block.instructions:
        if before is not None:
            yield before, instruction
        before = instruction


def _target(branch: Instruction) -> int:
    last = branch.operands[-1] if branch.operands else 0
    return last if isinstance(last, int) else 0


EVENTS: dict[str, Callable[[Block | None, Block], int]] = {
    "load_use": _load_uses,
    "loop_end": _loop_ends,
    "store_after_access": _stores_after_access,
    "upper_word_branch": _upper_word_branches,
}
