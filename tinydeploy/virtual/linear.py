"""Register values inside a block as sums of what registers and memory held when the block began.

Enough to know addresses before they are used: moves, additions, shifts, constants, and what is loaded from the stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

from tinydeploy.virtual.decode import Instruction

_MASK = 0xFFFF_FFFF
Source = Union[str, "Linear"]  # a register at the block's start, or the word at an address


@dataclass(frozen=True, slots=True)
class Linear:
    """constant + sum of source * factor, modulo 2^32."""

    constant: int
    terms: tuple[tuple[Source, int], ...] = ()

    def plus(self, other: Linear, factor: int = 1) -> Linear:
        """self + factor * other."""
        terms = dict(self.terms)
        for source, times in other.terms:
            terms[source] = (terms.get(source, 0) + factor * times) & _MASK
        kept = tuple((source, times) for source, times in terms.items() if times)
        return Linear((self.constant + factor * other.constant) & _MASK, kept)

    def shifted(self, amount: int) -> Linear:
        """self << amount."""
        factor = 1 << amount
        terms = tuple((source, times * factor & _MASK) for source, times in self.terms if times * factor & _MASK)
        return Linear(self.constant * factor & _MASK, terms)

    @property
    def is_aligned(self) -> bool:
        """A multiple of 4 whatever the sources hold; SP always is."""
        return not self.constant & 3 and all(source == "sp" or not times & 3 for source, times in self.terms)

    @property
    def uses_memory(self) -> bool:
        """Some source is a word in memory."""
        return any(isinstance(source, Linear) for source, _ in self.terms)

    def registers(self) -> set[str]:
        """The registers that it depends on, also through memory."""
        found: set[str] = set()
        for source, _ in self.terms:
            found |= {source} if isinstance(source, str) else source.registers()
        return found

    def value(self, registers: dict[str, int], read_word: Callable[[int], int]) -> int:
        """The number that it stands for."""
        total = self.constant
        for source, times in self.terms:
            total += times * (
                registers[source] if isinstance(source, str) else read_word(source.value(registers, read_word))
            )
        return total & _MASK


def register(name: str) -> Linear:
    """What a register held when the block began."""
    return Linear(0, ((name, 1),))


class Follower:
    """Registers and stack while a block is walked through, instruction by instruction."""

    def __init__(self, read_literal: Callable[[int], int]) -> None:
        self.known: dict[str, Linear | None] = {name: register(name) for name in (*_GENERAL, "lr", "sp")}
        self._read_literal = read_literal
        self._stored: dict[Linear, Linear | None] = {}  # words written to the stack in this block
        self._stack_is_known = True
        self._memory_is_known = True

    def step(self, instruction: Instruction) -> None:
        """Go past `instruction`."""
        before = dict(self.known)
        if instruction.kind == "store":
            self._store(instruction)
        values = self._results(instruction)
        for name in instruction.writes:
            if name in self.known:
                self.known[name] = values.get(name)
        if instruction.in_it_block:  # it may act or not
            for name in instruction.writes:
                if name in self.known and self.known[name] != before[name]:
                    self.known[name] = None

    def address(self, instruction: Instruction) -> Linear | None:
        """The first address that a load or store reaches."""
        if instruction.base is None:
            return None
        if instruction.base == "pc":
            base: Linear | None = Linear(instruction.address + 4 & ~3)
        else:
            base = self.known.get(instruction.base)
        if base is None:
            return None
        if instruction.mnemonic in ("push", "vpush", "stmdb", "ldmdb", "vstmdb", "vldmdb"):
            return base.plus(Linear(-4 * instruction.transfers & _MASK))
        if instruction.index:
            index = self.known.get(instruction.index)
            return base.plus(index.shifted(instruction.shift)) if index is not None else None
        return base.plus(Linear(instruction.offset & _MASK))

    def _store(self, instruction: Instruction) -> None:
        address = self.address(instruction)
        on_stack = instruction.base == "sp" or (address is not None and [s for s, _ in address.terms] == ["sp"])
        if instruction.mnemonic.startswith(("strb", "strh")) and not on_stack:
            return  # pointers are not written byte by byte
        self._memory_is_known = False
        if (
            not on_stack
            or address is None
            or instruction.in_it_block
            or instruction.mnemonic.startswith(("strb", "strh"))
        ):
            self._stack_is_known = False
            self._stored.clear()
            return
        names = [name for name in instruction.operands if isinstance(name, str)][-instruction.transfers :]
        if instruction.mnemonic == "str" or instruction.mnemonic == "strd":
            names = [str(name) for name in instruction.operands[: instruction.transfers]]
        for index in range(instruction.transfers):
            value = self.known.get(names[index]) if index < len(names) and not instruction.is_float else None
            self._stored[address.plus(Linear(4 * index))] = value

    def _load(self, address: Linear) -> Linear | None:
        if address in self._stored:
            return self._stored[address]
        if not address.terms:
            return Linear(self._read_literal(address.constant)) if self._memory_is_known else None
        on_stack = [source for source, _ in address.terms] == ["sp"]
        if not (self._stack_is_known if on_stack else self._memory_is_known):
            return None
        return Linear(0, ((address, 1),))

    def _results(self, instruction: Instruction) -> dict[str, Linear | None]:
        """What the registers hold that the instruction writes, where that is known."""
        name, operands = instruction.mnemonic, instruction.operands
        results: dict[str, Linear | None] = {}
        if instruction.kind == "load" and name in ("ldr", "ldrd", "ldm", "ldmdb", "pop"):
            address = self.address(instruction)
            targets = (
                operands[: instruction.transfers] if name in ("ldr", "ldrd") else operands[-instruction.transfers :]
            )
            for index, target in enumerate(targets):
                if address is not None and isinstance(target, str):
                    results[target] = self._load(address.plus(Linear(4 * index)))
        elif operands and isinstance(operands[0], str):
            results[str(operands[0])] = self._computed(instruction)
        if instruction.writeback and instruction.base is not None:
            results[instruction.base] = self._written_back(instruction)
        return results

    def _written_back(self, instruction: Instruction) -> Linear | None:
        base = self.known.get(str(instruction.base))
        last = instruction.operands[-1] if instruction.operands else 0
        if base is None or instruction.index:
            return None
        if instruction.mnemonic in ("push", "vpush", "stmdb", "ldmdb", "vstmdb", "vldmdb"):
            return base.plus(Linear(-4 * instruction.transfers & _MASK))
        if instruction.mnemonic in ("pop", "vpop", "ldm", "stm", "vldmia", "vstmia"):
            return base.plus(Linear(4 * instruction.transfers))
        return base.plus(Linear((instruction.offset or (last if isinstance(last, int) else 0)) & _MASK))

    def _computed(self, instruction: Instruction) -> Linear | None:
        """MOV, ADD, SUB, ADR, LSL, MOVW and MOVT."""
        name, operands, shift = instruction.mnemonic, instruction.operands, instruction.shift
        sources = operands[1:] if len(operands) > 2 else operands
        last = operands[-1]
        if name in ("mov", "movw"):
            value = Linear(last & _MASK) if isinstance(last, int) else self.known.get(last)
            return value.shifted(shift) if value is not None and shift >= 0 else None
        if name == "movt":
            low = self.known.get(str(operands[0]))
            if low is None or low.terms or not isinstance(last, int):
                return None
            return Linear(low.constant & 0xFFFF | last << 16)
        if name == "lsl":
            value = self.known.get(str(sources[0]))
            return value.shifted(last) if value is not None and isinstance(last, int) else None
        if name == "adr" or (name in ("add", "addw", "sub", "subw") and "pc" in sources):
            # Only with an immediate is the PC rounded down to a word (Armv7-M ARM A5.1.2).
            here = instruction.address + 4 & ~3
            if not isinstance(last, int):
                return None
            return Linear(here - last if name.startswith("sub") else here + last)
        if name not in ("add", "addw", "sub", "subw") or shift < 0 or len(sources) != 2:
            return None
        first, second = (self.known.get(s) if isinstance(s, str) else Linear(s & _MASK) for s in sources)
        if first is None or second is None:
            return None
        return first.plus(second.shifted(shift), -1 if name.startswith("sub") else 1)


_GENERAL = tuple(f"r{number}" for number in range(13))
