"""Which LDRD, LDM and their kin could meet an unaligned address, decided when a block begins.

Armv7-M ARM A3.2.1: LDM, STM, LDRD, STRD, LDREX, STREX, VLDR, VSTR, VLDM and VSTM always fault unless word-aligned; the
emulator lets them pass. A hook on each such instruction looks at its base, unless the base is known to be aligned (the
stack pointer, constants). That is too slow for a loop over one block, as the inner loops of kernels are: there the base
is followed through the block, its two low bits being a sum of the low bits of registers at the block's start, and where
the loop keeps those, one look on entry decides for all turns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.virtual.decode import Block, Instruction

_STRICT = ("ldrd", "strd", "ldm", "stm", "vldr", "vstr", "vldm", "vstm")
_EXCLUSIVE = ("ldrex", "strex")  # the byte and halfword forms have their own names

# Low two bits of a value: constant + sum of (register at block start) * factor, all modulo 4.
Form = tuple[int, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, slots=True)
class AlignmentChecks:
    """What to look at when a block is entered from another one, and which of its instructions need a hook."""

    at_entry: tuple[tuple[Instruction, Form], ...]
    hooked: tuple[Instruction, ...]

    def unaligned(self, read: Callable[[str], int]) -> Instruction | None:
        """The first instruction of the block that will fault, given the registers at its start."""
        for instruction, (constant, terms) in self.at_entry:
            if (constant + sum(factor * read(register) for register, factor in terms)) & 3:
                return instruction
        return None


def alignment_checks(block: Block, read_word: Callable[[int], int]) -> AlignmentChecks | None:
    """The checks for `block`, or None when nothing in it can fault; `read_word` reads literals."""
    if not any(_is_strict(instruction) for instruction in block.instructions):
        return None
    forms: dict[str, Form | None] = {f"r{number}": (0, ((f"r{number}", 1),)) for number in range(13)}
    forms["lr"] = (0, (("lr", 1),))
    forms["sp"] = (0, ())  # the hardware keeps its two low bits zero
    at_entry: list[tuple[Instruction, Form]] = []
    hooked: list[Instruction] = []
    for instruction in block.instructions:
        if _is_strict(instruction) and instruction.base is not None and instruction.base != "pc":
            form = forms.get(instruction.base)
            if form is None or instruction.in_it_block:
                hooked.append(instruction)
            elif form != (0, ()):
                at_entry.append((instruction, form))
        _follow(instruction, forms, read_word)
    if not at_entry and not hooked:
        return None
    kept = {register for register, form in forms.items() if form == (0, ((register, 1),))}
    loops = block.last.kind == "branch" and block.address in block.last.operands
    if not loops or not all(register in kept for _, (_, terms) in at_entry for register, _ in terms):
        # Looking on each entry costs more than a hook; only for a loop over one block does one look last.
        hooked += [instruction for instruction, _ in at_entry]
        at_entry = []
    return AlignmentChecks(tuple(at_entry), tuple(hooked))


def _is_strict(instruction: Instruction) -> bool:
    name = instruction.mnemonic
    return name.startswith(_STRICT) or name in _EXCLUSIVE


def _add(first: Form | None, second: Form | None, sign: int = 1) -> Form | None:
    if first is None or second is None:
        return None
    terms = dict(first[1])
    for register, factor in second[1]:
        terms[register] = (terms.get(register, 0) + sign * factor) & 3
    return ((first[0] + sign * second[0]) & 3, tuple(sorted((r, f) for r, f in terms.items() if f)))


def _scale(form: Form | None, shift: int) -> Form | None:
    if shift >= 2:
        return (0, ())
    if form is None or shift == 0:
        return form
    return (form[0] * 2 & 3, tuple((register, factor * 2 & 3) for register, factor in form[1] if factor * 2 & 3))


def _follow(instruction: Instruction, forms: dict[str, Form | None], read_word: Callable[[int], int]) -> None:
    """Bring `forms` behind `instruction`."""
    result: Form | None = None
    target: str | None = None
    operands = instruction.operands
    if instruction.writeback and instruction.base in forms:
        # Pre- and post-indexed: the offset is the displacement or a last immediate; LDM and STM move whole words.
        step = instruction.offset or (operands[-1] if operands and isinstance(operands[-1], int) else 0)
        base = forms[instruction.base]
        written: Form | None = _add(base, (step & 3, ()))
        if instruction.index:
            written = None
        _forget(instruction, forms)
        forms[instruction.base] = None if instruction.in_it_block and written != base else written
        return
    if instruction.mnemonic in ("mov", "movw", "add", "addw", "sub", "subw", "adr", "lsl"):
        target, result = _evaluate(instruction, forms)
    elif instruction.mnemonic == "movt" and operands:
        target = str(operands[0])  # the upper half leaves the low bits
        result = forms.get(target)
    elif instruction.mnemonic == "ldr" and instruction.base == "pc" and not instruction.index and operands:
        target = str(operands[0])
        literal = (instruction.address + 4 & ~3) + instruction.offset
        result = (read_word(literal) & 3, ())
    before = forms.get(target) if target else None
    _forget(instruction, forms)
    if target in forms and target != "sp":
        forms[target] = result if not instruction.in_it_block or result == before else None


def _forget(instruction: Instruction, forms: dict[str, Form | None]) -> None:
    for register in instruction.writes:
        if register in forms and register != "sp":
            forms[register] = None


def _evaluate(instruction: Instruction, forms: dict[str, Form | None]) -> tuple[str | None, Form | None]:
    """Target register and form of a MOV, ADD, SUB, ADR or LSL."""
    operands = instruction.operands
    if not operands or not isinstance(operands[0], str):
        return None, None
    target, sources = operands[0], operands[1:] if len(operands) > 2 else operands
    name, shift = instruction.mnemonic, instruction.shift
    if name == "lsl":
        amount = operands[-1]
        return target, _scale(forms.get(str(sources[0])), amount) if isinstance(amount, int) else None
    if name in ("mov", "movw"):
        source = operands[-1]
        return target, (source & 3, ()) if isinstance(source, int) else _scale(forms.get(source), max(shift, 0))
    if name == "adr" or "pc" in sources:
        # Only with an immediate is the PC rounded down to a word (Armv7-M ARM A5.1.2).
        last = operands[-1]
        return target, (last & 3, ()) if isinstance(last, int) else None
    if shift < 0:
        return target, None
    first, second = (forms.get(source) if isinstance(source, str) else (source & 3, ()) for source in sources)
    return target, _add(first, _scale(second, shift), -1 if name.startswith("sub") else 1)
