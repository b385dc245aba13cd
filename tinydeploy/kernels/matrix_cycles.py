"""What a matrix layer costs a core in cycles and in code, by its blocks' instructions: to choose between its forms.

Loops are multiplied out; what a chip takes longer for at the end of a loop comes on top. Borders count as all other
blocks. Rules:

- Cortex-M4, as in ``virtual/models/m4.py``: LDR 2, or 1 right after a single load or store; LDRD and STRD 3; LDM, STM,
  PUSH, POP 1 + N; VMOV of two registers 2; a taken branch 3; all others 1.
- Cortex-M7: two instructions go together where they can, so that each costs a part of a cycle more or less: what it did
  on average in 36 layers of four models in up to eleven forms on the virtual board (STM32F746; off by 3 % of a layer's
  cycles, 7 % at most). A taken branch takes 1, one that falls through at the end of a loop 8, as in
  ``virtual/models/m7.py``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinydeploy.kernels.matrix_assembly import Block
from tinydeploy.kernels.matrix_gather import GatherForm, gather_lines
from tinydeploy.kernels.matrix_parts import block_of, blocks_of, gather_form
from tinydeploy.kernels.matrix_schedule import block_schedule

_CALL = 40
# Nearly all instructions are of 32 bits.
_INSTRUCTION_BYTES = 4
_SINGLE = ("ldr", "ldrb", "ldrsb", "str", "strb")
_SEVERAL = ("ldm", "stm", "push", "pop", "vpush", "vpop", "vldmia")


def has_cycles(shape: Mapping[str, Any]) -> bool:
    """Whether blocks and gathers of a layer are instructions that can be counted, none in C."""
    if not shape["interleaved"]:
        return False
    return all(gather_lines(gather_form(shape, pixels)) is not None for pixels in shape["sizes"])


def matrix_cycles(shape: Mapping[str, Any], core: str, loop_end: float) -> float:
    """Cycles of one call of td_conv_s8_dsp whose instructions `has_cycles` on a core of `RULES`, with constants that
    are there at once."""
    total, rules = 0.0, RULES[core]
    calls = shape["groups"] * (1 if shape["pointwise"] else shape["out_h"])
    for pixels in shape["sizes"]:
        block = block_of(shape, pixels)
        count = shape["counts"][4 - pixels]
        turns = block.channels // (2 * block.form.pairs * block.repeats)
        loops = {0: count, 1: turns, 2: block_schedule(block.form).turns}
        total += calls * (_CALL + _cycles(_lines(block), rules, loops, loop_end))
        total += calls * count * _cycles(_gather_lines(block.gather), rules, {}, loop_end)
    return total


def matrix_code_bytes(shapes: Sequence[Mapping[str, Any]]) -> int:
    """Bytes, at most, of the functions that layers which `has_cycles` call, those that they share once."""
    blocks = {block for shape in shapes for block in blocks_of(shape)}
    functions = [*map(_lines, blocks), *(_gather_lines(form) for form in {block.gather for block in blocks})]
    return _INSTRUCTION_BYTES * sum(_is_instruction(line) for lines in functions for line in lines)


def matrix_loop_bytes(shape: Mapping[str, Any]) -> int:
    """Bytes, at most, of the longest of its blocks' innermost loops."""
    return max(_innermost(_lines(block)) for block in blocks_of(shape))


@functools.lru_cache(maxsize=256)
def _lines(block: Block) -> tuple[str, ...]:
    return block.lines("gather", gather_in_c=False)


def _gather_lines(form: GatherForm) -> tuple[str, ...]:
    lines = gather_lines(form)
    assert lines is not None, form
    return lines


def _innermost(lines: Iterable[str]) -> int:
    """Of the loop that ends first; loops end in the order of their depth."""
    count = 0
    for line in lines:
        count = 0 if line.endswith(":") else count + _is_instruction(line)
        if line.startswith("bne"):
            break
    return _INSTRUCTION_BYTES * count


def _is_instruction(line: str) -> bool:
    return not line.startswith(".") and not line.endswith(":")


@dataclass(frozen=True, slots=True)
class Rules:
    """A core: what an instruction costs by name, operands and the one before; a branch back that is `taken`, and the
    `last` one of a loop."""

    cost: Callable[[str, str, str], float]
    taken: float
    last: float


def _cycles(lines: Iterable[str], rules: Rules, loops: Mapping[int, int], loop_end: float) -> float:
    """Cycles of instructions with loops inside each other, by label; of others the count is what r3 last held."""
    total, before, times, held = 0.0, "", [1], 1
    for line in lines:
        name, _, operands = line.partition(" ")
        if label := re.fullmatch(r"(\d):", line):
            times.append(times[-1] * loops.get(int(label[1]), held))
        elif name == "bne":
            turns = times.pop()
            total += rules.taken * (turns - times[-1]) + (rules.last + loop_end) * times[-1]
        elif not name.startswith("."):
            total += times[-1] * rules.cost(name, operands, before)
        if counter := re.fullmatch(r"mov r3, #(\d+)", line):
            held = int(counter[1])
        before = line
    return total


def _m4(name: str, operands: str, before: str) -> float:
    if name in ("ldrd", "strd"):
        return 3
    if name in _SEVERAL:
        return 1 + _registers(operands) + (2 if "pc" in operands else 0)
    if name.startswith("ldr"):
        return 1 if before.split(" ")[0] in _SINGLE else 2
    if name == "vmov":
        return 2 if operands.count(",") == 3 else 1
    return 3 if name in ("bl", "bx") else 1


def _m7(name: str, operands: str, _before: str) -> float:
    if name in ("ldrd", "strd"):
        return 0.7
    if name in _SEVERAL:
        return 0.7 * (-(-_registers(operands) // 2))
    if name.startswith(("sml", "smm", "smu")):
        return 1.27
    found = {"sxtb16": 0.2, "pkhbt": 0.2, "ssat": 0.9, "vmov": 0.3, "str": 0.0, "strb": 0.0, "bl": 1.0, "bx": 1.0}
    return found.get(name, 0.7 if name.startswith("ldr") else 1.4)


RULES = {"m4": Rules(_m4, taken=3, last=1), "m7": Rules(_m7, taken=1, last=8)}
"""By core."""


def _registers(operands: str) -> int:
    """How many registers a list has."""
    count = 0
    for part in operands[operands.index("{") + 1 : operands.index("}")].split(","):
        first, _, last = part.partition("-")
        count += int(last.strip()[1:]) - int(first.strip()[1:]) + 1 if last else 1
    return count
