"""Thumb code, block by block: what the counters, the cycle models and the checks need to know of each instruction.

A block is decoded once, on its first execution. The number of instructions comes from the halfwords themselves
(Armv7-M ARM, A5.1: the top five bits 0b11101, 0b11110 and 0b11111 begin a 32-bit instruction), so that the count stays
exact where capstone does not know an encoding.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from tinydeploy.errors import ToolchainError

try:
    import capstone
    from capstone import arm
except ImportError as error:
    raise ToolchainError(f"the virtual board needs capstone ({error}); pip install 'tinydeploy[virtual]'") from error

Kind = Literal["alu", "multiply", "divide", "load", "store", "branch", "float", "system", "it"]

_BRANCHES = {"b", "bl", "bx", "blx", "cbz", "cbnz", "tbb", "tbh"}
_MULTIPLIES = ("mul", "mla", "mls", "smul", "smla", "smls", "smm", "smuad", "smusd", "umull", "umlal", "umaal", "usad")
_HINTS = ("nop", "yield", "wfi", "wfe", "sev", "csdb", "dbg", "")
_SYSTEM = {"mrs", "msr", "cps", "dsb", "dmb", "isb", "svc", "bkpt", "clrex", *_HINTS[1:]}
_RENAMED = {"fconsts": "vmov", "fconstd": "vmov"}
_ALIASES = {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12"}
_LOADS = ("ldr", "ldm", "pop", "vldr", "vldm", "vpop", "tbb", "tbh", "pld", "pli")
_STORES = ("str", "stm", "push", "vstr", "vstm", "vpush")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. Registers are named r0 to r12, sp, lr, pc, s0 to s31, and "flags".

    ``is_float``: needs the FPU, as a coprocessor 10 or 11 instruction.
    ``transfers``: words moved by a load or store. ``base``, ``index``, ``shift``, ``offset``: its address, where it has
    one memory operand; ``base`` also for LDM and STM. Where there is no memory operand, ``shift`` is the left shift
    of the last register operand, or -1 for any other kind of shift. ``operands``: registers and immediates.
    ``conditional``: an IT block or the instruction's own condition decides whether it acts.
    """

    address: int
    size: int
    mnemonic: str
    text: str
    kind: Kind
    reads: frozenset[str]
    writes: frozenset[str]
    conditional: bool
    in_it_block: bool
    operands: tuple[str | int, ...]
    transfers: int = 0
    base: str | None = None
    index: str | None = None
    shift: int = 0
    offset: int = 0
    writeback: bool = False
    is_float: bool = False

    @property
    def end(self) -> int:
        """The address of the next instruction."""
        return self.address + self.size

    @property
    def is_memory(self) -> bool:
        """Loads or stores."""
        return self.kind in ("load", "store")


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Straight-line code that Unicorn runs as one unit; only its last instruction can branch."""

    address: int
    size: int
    instructions: tuple[Instruction, ...]

    @property
    def end(self) -> int:
        """The address after its last byte."""
        return self.address + self.size

    @property
    def count(self) -> int:
        """Instructions in it, those that an IT block may skip included (as QEMU counts)."""
        return len(self.instructions)

    @property
    def last(self) -> Instruction:
        """The instruction that leaves the block."""
        return self.instructions[-1]


def instruction_sizes(code: bytes) -> list[int]:
    """The sizes in bytes (2 or 4) of the instructions in `code`."""
    sizes = []
    at = 0
    while at + 2 <= len(code):
        size = 4 if code[at + 1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
        sizes.append(size)
        at += size
    return sizes


class Decoder:
    """Thumb decoder for the M profile."""

    def __init__(self) -> None:
        self._capstone: Any = capstone.Cs(
            capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
        )
        self._capstone.detail = True
        self._names: dict[int, str] = {}
        self._known: dict[bytes, Instruction] = {}

    def block(self, address: int, code: bytes, left_in_it: int = 0) -> Block:
        """The block at `address` with the bytes `code`; its first `left_in_it` instructions end an IT block."""
        instructions: list[Instruction] = []
        conditional = self._disassemble(address, code, left_in_it) if left_in_it else {}
        at = 0
        for size in instruction_sizes(code):
            here = code[at : at + size]
            if left_in_it == 0:
                instruction = self._single(address + at, here)
                if instruction.kind == "it":
                    left_in_it = instruction.transfers
                    conditional = self._disassemble(address + at, code[at:], left_in_it + 1)
            else:
                raw = conditional.get(address + at)
                instruction = self._instruction(raw, address + at, size, here, True)
                left_in_it -= 1
            instructions.append(instruction)
            at += size
        return Block(address, at, tuple(instructions))

    def _disassemble(self, address: int, code: bytes, count: int) -> dict[int, Any]:
        return {raw.address: raw for raw in self._capstone.disasm(code, address, count)}

    def _single(self, address: int, code: bytes) -> Instruction:
        """An instruction outside IT blocks, kept unless it depends on its place: unrolled code repeats itself."""
        known = self._known.get(code)
        if known is not None:
            return dataclasses.replace(known, address=address)
        raw = self._disassemble(address, code, 1).get(address)
        instruction = self._instruction(raw, address, len(code), code, False)
        if instruction.kind != "branch":  # a branch's text and operands hold its target
            self._known[code] = instruction
        return instruction

    def _name(self, register: int) -> str:
        name = self._names.get(register)
        if name is None:
            name = self._capstone.reg_name(register) or ""
            name = _ALIASES.get(name, name)
            if name in ("cpsr", "apsr", "apsr_nzcv", "apsr_nzcvq", "itstate"):
                name = "flags" if name != "itstate" else ""
            self._names[register] = name
        return name

    def _instruction(self, raw: Any, address: int, size: int, code: bytes, in_it: bool) -> Instruction:
        first = int.from_bytes(code[:2], "little")
        if size == 2 and first >> 8 == 0xBF and first & 0xF:
            # IT: the lowest set bit of the mask says how many instructions it governs (1 to 4).
            count = 4 - ((first & -first) & 0xF).bit_length() + 1
            text = f"{raw.mnemonic} {raw.op_str}" if raw is not None else "it"
            return Instruction(
                address, size, "it", text, "it", frozenset(("flags",)), frozenset(), False, False, (), transfers=count
            )
        if raw is None or raw.size != size:
            text = f".inst 0x{code[:2][::-1].hex()}{code[2:][::-1].hex()}"
            return Instruction(address, size, "unknown", text, "alu", frozenset(), frozenset(), in_it, in_it, ())
        mnemonic = _RENAMED.get(raw.insn_name(), raw.insn_name())
        if mnemonic == "hint":
            mnemonic = next(name for name in _HINTS if raw.mnemonic.startswith(name))
        reads, writes = raw.regs_access()
        kind = _kind(mnemonic)
        operands = raw.operands
        own_condition = mnemonic in ("b", "cbz", "cbnz") and (
            mnemonic != "b" or raw.cc not in (arm.ARM_CC_AL, arm.ARM_CC_INVALID)
        )
        read_names = frozenset(filter(None, map(self._name, reads)))
        write_names = frozenset(filter(None, map(self._name, writes)))
        read_names, write_names = _expand_doubles(read_names), _expand_doubles(write_names)
        if (own_condition and mnemonic == "b") or in_it:
            read_names |= {"flags"}
        if raw.update_flags:
            write_names |= {"flags"}
        memory = next((operand for operand in operands if operand.type == arm.ARM_OP_MEM), None)
        values: tuple[str | int, ...] = tuple(
            self._name(operand.reg) if operand.type == arm.ARM_OP_REG else operand.imm
            for operand in operands
            if operand.type in (arm.ARM_OP_REG, arm.ARM_OP_IMM)
        )
        base = index = None
        shift = offset = 0
        if memory is not None:
            base = self._name(memory.mem.base) or None
            index = self._name(memory.mem.index) or None if memory.mem.index else None
            offset = memory.mem.disp
            shift = memory.shift.value if index else 0
        elif mnemonic in ("ldm", "stm", "ldmdb", "stmdb", "vldmia", "vldmdb", "vstmia", "vstmdb"):
            base = self._name(operands[0].reg)
        elif mnemonic in ("push", "pop", "vpush", "vpop"):
            base = "sp"
            read_names |= {"sp"}
            write_names |= {"sp"}
        if memory is None and operands and operands[-1].shift.type:
            last = operands[-1].shift
            shift = last.value if last.type == arm.ARM_SFT_LSL else -1
        transfers = _transfers(mnemonic, kind, read_names, write_names, operands, self._name)
        writeback = bool(raw.writeback) or mnemonic in ("push", "pop", "vpush", "vpop")
        text = f"{raw.mnemonic} {raw.op_str}".strip()
        if writeback and base:
            write_names |= {base}
        if kind == "load" and mnemonic.startswith(("ldm", "pop", "vldm", "vpop")):  # capstone forgets some
            listed = values if base == "sp" and mnemonic in ("pop", "vpop") else values[1:]
            write_names |= _expand_doubles(frozenset(str(value) for value in listed))
        if (kind == "load" and "pc" in write_names) or mnemonic in _BRANCHES:
            write_names |= {"pc"}
        return Instruction(
            address, size, mnemonic, text, kind, read_names, write_names, in_it or own_condition, in_it, values,
            transfers, base, index, shift, offset, writeback, _needs_fpu(code),
        )  # fmt: skip


def _needs_fpu(code: bytes) -> bool:
    """Armv7-M ARM A5.3.18 and A6: coprocessor instructions (0b111x11...) of coprocessor 10 or 11."""
    return len(code) == 4 and code[1] & 0b11101100 == 0b11101100 and code[3] & 0b1110 == 0b1010


def _kind(mnemonic: str) -> Kind:
    if mnemonic in _BRANCHES:
        return "branch"
    if mnemonic.startswith(_LOADS):
        return "load"
    if mnemonic.startswith(_STORES):
        return "store"
    if mnemonic in ("sdiv", "udiv"):
        return "divide"
    if mnemonic.startswith("v"):
        return "float"
    if mnemonic.startswith(_MULTIPLIES):
        return "multiply"
    if mnemonic in _SYSTEM:
        return "system"
    return "alu"


def _expand_doubles(names: frozenset[str]) -> frozenset[str]:
    """d<n> as its two single-precision halves, so that one set of names finds every dependency."""
    doubles = {name for name in names if name[:1] == "d" and name[1:].isdigit() and int(name[1:]) < 16}
    halves = {f"s{int(name[1:]) * 2 + half}" for name in doubles for half in (0, 1)}
    return frozenset((names - doubles) | halves)


def _transfers(
    mnemonic: str, kind: Kind, reads: frozenset[str], writes: frozenset[str], operands: Any, name: Any
) -> int:
    if kind not in ("load", "store"):
        return 0
    if mnemonic.startswith(("ldrd", "strd")):
        return 2
    if mnemonic.startswith(("vldr", "vstr")):
        return 2 if name(operands[0].reg)[:1] == "d" else 1
    if mnemonic.startswith(("ldm", "stm", "vldm", "vstm", "push", "pop", "vpush", "vpop")):
        listed = operands if mnemonic.endswith(("push", "pop")) else operands[1:]
        return sum(2 if name(operand.reg)[:1] == "d" else 1 for operand in listed)
    return 1
