"""The Cortex-M7's pipeline: how long straight-line code takes to issue, with memory that answers at once.

Arm publishes no timing. The rules are those that others measured on silicon and that agree: Arm's own scheduling model
in LLVM (llvm/lib/Target/ARM/ARMScheduleM7.td), quinapalus.com/cm7cycles.html, and the pipeline tests of jnk0le. None
is fitted to anything here.

Two consecutive instructions, the older and the younger, issue in a cycle. Stages: EX1 computes addresses and shifts;
EX2 does all other arithmetic and has a loaded word at its end; EX3 has bytes, halfwords and products, and adds what is
accumulated; EX4 stores. An instruction issues once each operand can be there at the stage that takes it. What an adder
or shifter does in EX1 already, because its operands were there, an instruction beside it may use.

The younger goes along unless: it is a bitfield or DSP instruction; both are stores, multiplies, loads, shifts within
an operand (or bitfields), or FP arithmetic; one stores and the other multiplies; both write the same register; or one
of them is a division, moves several words, or is a system instruction. A branch takes a slot and is predicted; two
loads go together only from different banks, which is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from tinydeploy.virtual.decode import Instruction

Stage = Literal["early", "alu", "multiply", "accumulate", "store"]


class _Ready(NamedTuple):
    """By what takes a result: cycles from the issue of what makes it to the issue of what takes it."""

    early: int  # addresses, shifted operands
    alu: int
    multiply: int
    accumulate: int
    store: int


_ALU = _Ready(2, 1, 1, 0, 0)
_EARLY = _Ready(1, 0, 0, 0, 0)  # from EX1: adders, shifters, and bases that are written back
_REVERSED = _Ready(2, 0, 0, 0, 0)
_WORD = _Ready(2, 1, 2, 1, 0)
_PART = _Ready(3, 2, 2, 1, 0)  # bytes and halfwords
_PRODUCT = _Ready(3, 2, 2, 1, 1)  # and what saturates
_QUOTIENT = _Ready(8, 7, 7, 7, 7)
_FLAGS = _Ready(2, 1, 1, 1, 1)

DIVIDE_CYCLES = 7
_LONG_FLOAT = ("vdiv", "vsqrt")
_LONG_FLOAT_CYCLES = 14
_ADDERS = {"add", "addw", "sub", "subw", "mov", "movw", "movt", "mvn", "adr"}
_SHIFTS = ("lsl", "lsr", "asr", "ror")
_EXTENDED = ("sxta", "uxta", "pkh", "bfi")  # take their last operand in EX1
_IN_EX1 = ("ubfx", "sbfx", "rev", "rbit", "ssat", "usat", "bfc")  # take all of them there
_DSP = (
    "sxt", "uxt", "sadd", "ssub", "uadd", "usub", "qadd", "qsub", "qdadd", "qdsub", "shadd", "shsub", "uhadd", "uhsub",
    "uqadd", "uqsub", "sasx", "ssax", "qasx", "qsax", "sel", "clz", *_EXTENDED, *_IN_EX1,
)  # fmt: skip
_OWN_SHIFT = (*_SHIFTS, *_DSP)
_SATURATING = ("ssat", "usat", "qadd", "qsub", "qdadd", "qdsub", "uqadd", "uqsub")
_LONG_ACCUMULATES = ("smlal", "umlal", "umaal", "smlsld")


def issue_cycles(instructions: Iterable[Instruction]) -> float:
    """Cycles, in halves, that straight-line code takes to issue."""
    taken: dict[str, tuple[int, _Ready]] = {}  # by register: when its result was issued, and what it is
    free = 0  # the cycle in which the next pair may issue
    older: Instruction | None = None  # what still has room beside it, issued in the cycle before `free`
    for instruction in instructions:
        operands = [
            (taken[name][0] + getattr(taken[name][1], stage))
            for name in instruction.reads & taken.keys()
            if (stage := _stage(instruction, name)) is not None
        ]
        earliest = max(operands, default=0)
        if older is not None and earliest < free and _goes_along(older, instruction):
            issued, is_older, older = free - 1, False, None
        else:
            issued, is_older, older = max(free, earliest), True, instruction
            free = issued + 1
        if (busy := _busy(instruction)) > 1:
            free, older = issued + busy, None
        for name, result in _results(instruction, is_older, issued, taken).items():
            taken[name] = issued, result
    return free - 0.5 if older is not None else free


def _stage(instruction: Instruction, name: str) -> Stage | None:
    """The stage that takes register `name`; None where nothing waits for it."""
    kind = instruction.kind
    if kind == "it":
        return None
    if kind == "branch":
        return None if instruction.mnemonic in ("b", "bl", "cbz", "cbnz") else "alu"
    if instruction.is_memory:
        return "early" if name in (instruction.base, instruction.index) else "store" if kind == "store" else "alu"
    if kind == "multiply":
        return "accumulate" if name in _accumulators(instruction) else "multiply"
    if kind == "alu" and instruction.mnemonic.startswith(_IN_EX1):
        return "early"
    is_last = bool(instruction.operands) and name == instruction.operands[-1]
    if kind == "alu" and instruction.mnemonic.startswith(_EXTENDED):
        return "early" if is_last else "alu"
    if _shifts_within(instruction):  # the other operand misses the shortcut of a loaded word, too
        return "early" if is_last else "multiply"
    return "alu"


def _accumulators(instruction: Instruction) -> tuple[str | int, ...]:
    if instruction.mnemonic.startswith(_LONG_ACCUMULATES):
        return instruction.operands[:2]
    return instruction.operands[3:]


def _shifts_within(instruction: Instruction) -> bool:
    """An operand goes through the shifter of EX1 on its way to the ALU; SXTB and its kin rotate without."""
    return instruction.kind == "alu" and instruction.shift != 0 and not instruction.mnemonic.startswith(_OWN_SHIFT)


def _moves_several(instruction: Instruction) -> bool:
    return instruction.is_memory and (
        instruction.transfers > 1 or instruction.mnemonic.startswith(("ldm", "stm", "push", "pop", "vldm", "vstm"))
    )


def _is_alone(instruction: Instruction) -> bool:
    return (
        instruction.kind in ("system", "divide")
        or instruction.mnemonic in ("tbb", "tbh", *_LONG_FLOAT)
        or _moves_several(instruction)
    )


def _uses_first_shifter(instruction: Instruction) -> bool:
    fields = (*_EXTENDED, *_IN_EX1)
    return _shifts_within(instruction) or (instruction.kind == "alu" and instruction.mnemonic.startswith(fields))


def _goes_along(older: Instruction, younger: Instruction) -> bool:
    """May `younger` issue beside `older`, its operands granted?"""
    if _is_alone(older) or _is_alone(younger):
        return False
    kinds = (older.kind, younger.kind)
    if kinds in {("store", "store"), ("load", "load"), ("float", "float"), ("multiply", "multiply")}:
        return False
    if set(kinds) == {"multiply", "store"}:
        return False
    if younger.kind == "alu":
        if younger.mnemonic.startswith(_DSP):
            return False
        if _uses_first_shifter(younger) and (_uses_first_shifter(older) or older.mnemonic in _SHIFTS):
            return False
    if (older.kind == "float") != (younger.kind == "float") and older.is_float and younger.is_float:
        return False  # arithmetic beside a load or store of the FPU
    return not (older.writes & younger.writes) - {"flags"}


def _busy(instruction: Instruction) -> int:
    """Cycles until the next instruction may issue."""
    if _moves_several(instruction):
        return max(1, (instruction.transfers + 1) // 2)
    if instruction.kind == "divide":
        return DIVIDE_CYCLES
    if instruction.mnemonic in _LONG_FLOAT:
        return _LONG_FLOAT_CYCLES
    if instruction.mnemonic in ("tbb", "tbh"):
        return 2
    return 4 if instruction.mnemonic in ("dsb", "dmb", "isb") else 1


def _results(
    instruction: Instruction, is_older: bool, issued: int, taken: dict[str, tuple[int, _Ready]]
) -> dict[str, _Ready]:
    """What the instruction writes, and when it is there."""
    if instruction.kind == "load":
        return _loaded(instruction)
    if instruction.kind == "store":
        return dict.fromkeys(instruction.writes, _EARLY)
    if instruction.kind == "multiply" or instruction.mnemonic.startswith(_SATURATING):
        result = _PRODUCT
    elif instruction.kind == "divide":
        result = _QUOTIENT
    elif instruction.kind == "float":
        result = _float_result(instruction.mnemonic)
    elif instruction.mnemonic.startswith(("rev", "rbit")):
        result = _REVERSED
    else:
        can = instruction.mnemonic in _SHIFTS or (instruction.mnemonic in _ADDERS and is_older)
        is_early = can and not instruction.in_it_block and not _shifts_within(instruction)
        for name in instruction.reads & taken.keys():
            is_early = is_early and taken[name][0] + taken[name][1].early <= issued
        result = _EARLY if is_early else _ALU
    return dict.fromkeys(instruction.writes, result) | ({"flags": _FLAGS} if "flags" in instruction.writes else {})


def _loaded(instruction: Instruction) -> dict[str, _Ready]:
    part = instruction.mnemonic.startswith(("ldrb", "ldrh", "ldrsb", "ldrsh"))
    listed = [name for name in instruction.operands if name in instruction.writes]
    found = {}
    for name in instruction.writes:
        cycle = listed.index(name) // 2 if name in listed else 0  # two words a cycle
        found[name] = _Ready(*(cycle + wait for wait in (_PART if part else _WORD)))
    if instruction.writeback and instruction.base is not None:
        found[instruction.base] = _EARLY
    return found


def _float_result(mnemonic: str) -> _Ready:
    if mnemonic in _LONG_FLOAT:
        cycles = _LONG_FLOAT_CYCLES
    elif mnemonic.startswith(("vml", "vfm", "vnml", "vfnm")):
        cycles = 5
    else:
        cycles = 1 if mnemonic in ("vmov", "vmrs", "vmsr") else 3
    return _Ready(cycles + 1, cycles, cycles, cycles, cycles - 1)
