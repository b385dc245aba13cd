"""Cortex-M4 cycles by the rules of its Technical Reference Manual (DDI 0439, "Instruction set summary").

Zero wait states, no contention on the bus. Rules:

- one cycle unless said otherwise: data processing, MUL, multiply-accumulate and DSP instructions, MRS, MSR;
- LDR 2; 1 when the instruction before is a single load or store whose result is not this one's address (pipelined);
- STR 1 with an immediate offset, 2 with a register offset; LDRD and STRD 3; LDM, STM, PUSH, POP 1 + N;
- a taken branch costs its 1 plus a refill of 2 (the TRM's P is 1 to 3); also POP and LDR to the PC, TBB and TBH;
- SDIV and UDIV 2 to 12 with the operands, which are not looked at: 7; DSB, DMB and ISB 4;
- IT 1, folded to 0 after a 16-bit instruction; instructions that IT skips are charged as if they ran;
- FPU: 1; VMOV of two registers 2; multiply-accumulate 3; VDIV and VSQRT 14; VLDR and VSTR 1 + N, pipelined like LDR;
  VLDM and VSTM 1 + N; one more when the next instruction reads the result of arithmetic.
"""

from __future__ import annotations

from tinydeploy.virtual.decode import Block, Instruction

REFILL_CYCLES = 2
DIVIDE_CYCLES = 7
_VFP_LONG = {"vdiv": 14, "vsqrt": 14} | dict.fromkeys(
    ("vmla", "vmls", "vnmla", "vnmls", "vfma", "vfms", "vfnma", "vfnms"), 3
)
_VFP_MOVES = {"vmov", "vmrs", "vmsr", "vcmp", "vcmpe", "vabs", "vneg"}


class CortexM4:
    """Cortex-M4 at zero wait states."""

    name = "Cortex-M4 TRM rules"
    statement = "Cortex-M4 TRM rules, zero wait states (estimate)"
    exception_entry = 12
    exception_return = 10

    def cycles(self, previous: Block | None, block: Block) -> int:
        """Cycles of `block` after `previous`, as ``CycleModel`` states."""
        before = previous.last if previous is not None else None
        total = 0
        if before is not None and "pc" in before.writes and (block.address != before.end or not before.conditional):
            total += REFILL_CYCLES
            before = None
        return total + self.straight(before, block.instructions)

    def prefix(self, block: Block, count: int) -> int:
        """Cycles of the first `count` instructions of `block`."""
        return self.straight(None, block.instructions[:count])

    @staticmethod
    def straight(before: Instruction | None, instructions: tuple[Instruction, ...]) -> int:
        """Cycles of straight-line code after `before`, without refills."""
        total = 0
        for instruction in instructions:
            total += _cost(before, instruction)
            before = instruction
        return total


def _cost(before: Instruction | None, instruction: Instruction) -> int:
    kind = instruction.kind
    stall = 0
    if before is not None and before.kind == "float" and before.mnemonic not in _VFP_MOVES:
        stall = 1 if before.writes & instruction.reads else 0
    if kind == "load" or kind == "store":
        return stall + _memory_cost(before, instruction)
    if kind == "divide":
        return stall + DIVIDE_CYCLES
    if kind == "it":
        return 0 if before is not None and before.size == 2 else 1
    if instruction.mnemonic == "vmov" and len(instruction.operands) == 4:
        return stall + 2
    if kind == "float":
        return stall + _VFP_LONG.get(instruction.mnemonic, 1)
    if instruction.mnemonic in ("dsb", "dmb", "isb"):
        return 4
    if instruction.mnemonic in ("tbb", "tbh"):
        return stall + 2
    return stall + 1


def _memory_cost(before: Instruction | None, instruction: Instruction) -> int:
    if instruction.mnemonic.startswith(("pld", "pli")):
        return 1
    several = instruction.transfers > 1 or instruction.mnemonic in ("push", "pop", "ldm", "stm", "ldmdb", "stmdb")
    if several:
        return 1 + instruction.transfers
    if instruction.kind == "store" and not instruction.is_float:
        return 2 if instruction.index else 1
    pipelined = (
        before is not None
        and before.is_memory
        and before.transfers == 1
        and "pc" not in before.writes
        and not (_loaded(before) & {instruction.base, instruction.index})
    )
    return 1 if pipelined else 2


def _loaded(instruction: Instruction) -> set[str | int | None]:
    """The register that a single load fills; a written-back base is ready at once and does not break pipelining."""
    return {instruction.operands[0]} if instruction.kind == "load" and instruction.operands else set()
