"""Which LDRD, LDM and their kin could meet an unaligned address, decided when a block begins.

Armv7-M ARM A3.2.1: LDM, STM, LDRD, STRD, LDREX, STREX, VLDR, VSTR, VLDM and VSTM always fault unless word-aligned; the
emulator lets them pass, and a hook on every one of them would cost more than the code itself. So the base is followed
through the block, and one look at registers and stack when the block begins decides; where a loop over one block keeps
the bases' low bits, one look decides for all its turns. What cannot be followed gets a hook after all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.virtual.decode import Block, Instruction
from tinydeploy.virtual.linear import Follower, Linear, register

_STRICT = ("ldrd", "strd", "ldm", "stm", "vldr", "vstr", "vldm", "vstm")
_EXCLUSIVE = ("ldrex", "strex")  # the byte and halfword forms have their own names


@dataclass(frozen=True, slots=True)
class AlignmentChecks:
    """What to look at when a block begins, and which of its instructions need a hook.

    ``registers`` are read for ``at_entry``. ``holds_in_loop``: when the block follows itself nothing has changed.
    """

    at_entry: tuple[tuple[Instruction, Linear], ...]
    registers: tuple[str, ...]
    hooked: tuple[Instruction, ...]
    holds_in_loop: bool

    def unaligned(self, values: dict[str, int], read_word: Callable[[int], int]) -> Instruction | None:
        """The first instruction of the block that will fault, given the registers at its start."""
        for instruction, base in self.at_entry:
            if base.value(values, read_word) & 3:
                return instruction
        return None


def alignment_checks(block: Block, read_word: Callable[[int], int]) -> AlignmentChecks | None:
    """The checks for `block`, or None when nothing in it can fault; `read_word` reads literals."""
    if not any(_is_strict(instruction) for instruction in block.instructions):
        return None
    follower = Follower(read_word)
    at_entry: list[tuple[Instruction, Linear]] = []
    hooked: list[Instruction] = []
    for instruction in block.instructions:
        if _is_strict(instruction) and instruction.base not in (None, "sp", "pc"):
            base = follower.known.get(str(instruction.base))
            if base is None or instruction.in_it_block:
                hooked.append(instruction)
            elif not base.is_aligned:
                at_entry.append((instruction, _low_bits(base)))
        follower.step(instruction)
    if not at_entry and not hooked:
        return None
    # Bases that differ by a multiple of 4 need one look.
    distinct = {base: instruction for instruction, base in reversed(at_entry)}
    looks = tuple((instruction, base) for base, instruction in distinct.items())
    used = sorted(set().union(*(base.registers() for _, base in looks)))
    kept = all(
        not base.uses_memory and all(_keeps(follower.known.get(name), name) for name in base.registers())
        for _, base in looks
    )
    return AlignmentChecks(looks, tuple(used), tuple(hooked), kept)


def _is_strict(instruction: Instruction) -> bool:
    name = instruction.mnemonic
    return name.startswith(_STRICT) or name in _EXCLUSIVE


def _low_bits(base: Linear) -> Linear:
    """The same two low bits, with as little as possible."""
    terms = tuple((source, times & 3) for source, times in base.terms if times & 3 and source != "sp")
    return Linear(base.constant & 3, terms)


def _keeps(after: Linear | None, name: str) -> bool:
    """The block leaves the two low bits of a register as they were."""
    return after is not None and _low_bits(after) == register(name)
