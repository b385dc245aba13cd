"""Cortex-M7 cycles by a simple dual-issue, in-order model; Arm publishes no timing, and this is not calibrated.

Each cycle issues one or two consecutive instructions. The second goes along when

- it reads and writes nothing that the first writes (a base that the first writes back counts; its flags may feed a
  conditional branch);
- at most one of the two is a store, a multiply, a divide, FP arithmetic, or a load or store of several words, and a
  load and a store do not pair; two single-word loads do;
- neither is a barrier, IT, or system instruction, and the first is no branch.

An instruction waits for its operands. Result latencies: ALU 1, load 2, multiply and DSP 2 (its accumulator is
forwarded to the next multiply-accumulate after 1), FP arithmetic 3 (VMLA and VFMA 5), FP load 2, divide 7 (not
pipelined), VDIV and VSQRT 14 (not pipelined). LDM, STM, LDRD and their kin move two words a cycle.
Branches: a taken direct branch, call or return costs 1 (prefetched); a conditional backward branch that falls
through, as at the end of a loop, is a misprediction of 8; a computed branch (BX but not to LR, BLX, TBB, TBH) costs 4.
All memory answers at once: zero wait states, caches always hit.
"""

from __future__ import annotations

from tinydeploy.virtual.decode import Block, Instruction
from tinydeploy.virtual.models.events import ends_loop, is_taken

MISPREDICT_CYCLES = 8
COMPUTED_BRANCH_CYCLES = 4
_TAIL = 4  # instructions of the block before that can still hold this one back


class CortexM7:
    """Cortex-M7 dual issue, perfect memory."""

    name = "Cortex-M7 dual-issue rules"
    statement = "Cortex-M7 simple dual-issue in-order rules, zero wait states, uncalibrated (estimate)"
    exception_entry = 12
    exception_return = 10

    def cycles(self, previous: Block | None, block: Block) -> int:
        """Cycles of `block` after `previous`, as ``CycleModel`` states."""
        if previous is None:
            return issue_slots(block.instructions)
        before = previous.last
        branch = 0
        if is_taken(previous, block):
            computed = before.mnemonic in ("blx", "tbb", "tbh") or (
                before.mnemonic == "bx" and "lr" not in before.reads
            )
            branch = COMPUTED_BRANCH_CYCLES if computed else 1
        elif ends_loop(before, block.address):
            branch = MISPREDICT_CYCLES
        tail = previous.instructions[-_TAIL:]
        return branch + max(0, issue_slots(tail + block.instructions) - issue_slots(tail))

    def prefix(self, block: Block, count: int) -> int:
        """Cycles of the first `count` instructions of `block`."""
        return issue_slots(block.instructions[:count])


def _latency(instruction: Instruction) -> int:
    if instruction.kind == "load" or instruction.kind == "multiply":
        return 2
    if instruction.kind == "divide":
        return 7
    if instruction.kind == "float":
        name = instruction.mnemonic
        if name in ("vdiv", "vsqrt"):
            return 14
        if name.startswith(("vml", "vfm", "vnml", "vfnm")):
            return 5
        return 1 if name in ("vmov", "vmrs", "vmsr") else 3
    return 1


def _busy(instruction: Instruction) -> int:
    """Cycles until the next instruction may issue."""
    if instruction.is_memory:
        return max(1, (instruction.transfers + 1) // 2)
    if instruction.kind == "divide":
        return 7
    if instruction.mnemonic in ("vdiv", "vsqrt"):
        return 14
    return 4 if instruction.mnemonic in ("dsb", "dmb", "isb") else 1


def _single(instruction: Instruction) -> bool:
    return instruction.kind in ("system", "it")


def _heavy(instruction: Instruction) -> bool:
    return instruction.kind in ("store", "multiply", "divide", "float") or (
        instruction.kind == "load" and instruction.transfers > 1
    )


def _pairs(first: Instruction, second: Instruction) -> bool:
    if _single(first) or _single(second) or "pc" in first.writes:
        return False
    if _heavy(first) and _heavy(second):
        return False
    if first.is_memory and second.is_memory and (first.kind != second.kind or _heavy(first) or _heavy(second)):
        return False
    shared = first.writes & (second.reads | second.writes)
    return not (shared - {"flags"} if second.kind == "branch" else shared)


def issue_slots(instructions: tuple[Instruction, ...]) -> int:
    """Issue slots, in cycles, of straight-line code."""
    ready: dict[str, int] = {}
    accumulators: dict[str, int] = {}
    now = 0  # the cycle in which the next instruction may issue
    issued_at = -1
    first: Instruction | None = None
    for instruction in instructions:
        earliest = 0
        accumulator = _accumulator(instruction)
        for register in instruction.reads:
            available = ready.get(register, 0)
            if register == accumulator and register in accumulators:
                available = accumulators[register]
            earliest = max(earliest, available)
        if first is not None and earliest <= issued_at and _busy(first) == 1 and _pairs(first, instruction):
            issue = issued_at
            first = None
            now = max(now, issue + _busy(instruction))
        else:
            issue = max(now, earliest)
            first = instruction
            issued_at = issue
            now = issue + _busy(instruction)
        latency = _latency(instruction)
        for register in instruction.writes:
            accumulators.pop(register, None)
            ready[register] = issue + (1 if register == instruction.base else latency)
            if instruction.kind == "multiply":
                accumulators[register] = issue + 1
    return now


def _accumulator(instruction: Instruction) -> str | None:
    """The register that a multiply-accumulate adds to: its last operand."""
    if instruction.kind == "multiply" and len(instruction.operands) == 4:
        last = instruction.operands[3]
        return last if isinstance(last, str) else None
    return None
