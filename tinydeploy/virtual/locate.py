"""Which instruction of the running block makes an access: device callbacks are not told."""

from __future__ import annotations

from tinydeploy.virtual.cpu import Cpu
from tinydeploy.virtual.decode import Block


def accessing_instruction(cpu: Cpu, block: Block, address: int, is_write: bool, after: int = -1) -> int | None:
    """The index of the first load or store in `block` past `after` that reaches the word of `address`.

    Registers hold what they did right before the access, so an instruction whose address they make is taken to be it.
    """
    kind = "store" if is_write else "load"
    for index, instruction in enumerate(block.instructions):
        if index <= after or instruction.kind != kind or instruction.base is None:
            continue
        base = instruction.address + 4 & ~3 if instruction.base == "pc" else cpu[instruction.base]
        offset = instruction.offset
        if instruction.index:
            offset += cpu[instruction.index] << instruction.shift
        first = base + offset & 0xFFFF_FFFF
        if first <= address < first + 4 * max(1, instruction.transfers):
            return index
    return None
