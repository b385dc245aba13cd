"""What a matrix layer costs a Cortex-M4, from the instructions of its blocks: to choose between forms of one layer.

Rules as in ``virtual/models/m4.py``, for the few instructions that blocks consist of: LDR 2, or 1 right after a single
load or store; LDRD and STRD 3; LDM, STM, PUSH, POP 1 + N; VMOV of two registers 2; a taken branch 3; all others 1. What
a chip takes longer for at the end of a loop comes on top. Borders count as all other blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tinydeploy.kernels.matrix_gather import gather_lines
from tinydeploy.kernels.matrix_parts import block_of, gather_form
from tinydeploy.kernels.matrix_schedule import block_schedule

_TAKEN, _CALL = 3, 40
_SINGLE = ("ldr", "ldrb", "ldrsb", "str", "strb")
_SEVERAL = ("ldm", "stm", "push", "pop", "vpush", "vpop", "vldmia")


def has_cycles(shape: Mapping[str, Any]) -> bool:
    """Whether blocks and gathers of a layer are instructions that can be counted, none in C."""
    if not shape["interleaved"]:
        return False
    return all(gather_lines(gather_form(shape, pixels)) is not None for pixels in shape["sizes"])


def matrix_cycles(shape: Mapping[str, Any], loop_end: float) -> float:
    """Cycles of one call of td_conv_s8_dsp whose instructions `has_cycles`, with constants that are there at once."""
    total = 0.0
    calls = shape["groups"] * (1 if shape["pointwise"] else shape["out_h"])
    for pixels in shape["sizes"]:
        block = block_of(shape, pixels)
        gather = gather_lines(block.gather)
        assert gather is not None
        count = shape["counts"][4 - pixels]
        turns = block.channels // (2 * block.form.pairs * block.repeats)
        loops = {0: count, 1: turns, 2: block_schedule(block.form).turns}
        total += calls * (_CALL + _cycles(block.lines("gather", gather_in_c=False), loops, loop_end))
        total += calls * count * _cycles(gather, {}, loop_end)
    return total


def _cycles(lines: Iterable[str], loops: Mapping[int, int], loop_end: float) -> float:
    """Cycles of instructions with loops inside each other, by label; of others the count is what r3 last held."""
    total, before, times, held = 0.0, "", [1], 1
    for line in lines:
        name, _, operands = line.partition(" ")
        if label := re.fullmatch(r"(\d):", line):
            times.append(times[-1] * loops.get(int(label[1]), held))
        elif name == "bne":
            turns = times.pop()
            total += _TAKEN * (turns - times[-1]) + (1 + loop_end) * times[-1]
        elif not name.startswith("."):
            total += times[-1] * _cost(name, operands, before)
        if counter := re.fullmatch(r"mov r3, #(\d+)", line):
            held = int(counter[1])
        before = line
    return total


def _cost(name: str, operands: str, before: str) -> int:
    """One instruction after another."""
    if name in ("ldrd", "strd"):
        return 3
    if name in _SEVERAL:
        return 1 + _registers(operands) + (_TAKEN - 1 if "pc" in operands else 0)
    if name.startswith("ldr"):
        return 1 if before.split(" ")[0] in _SINGLE else 2
    if name == "vmov":
        return 2 if operands.count(",") == 3 else 1
    return _TAKEN if name in ("bl", "bx") else 1


def _registers(operands: str) -> int:
    """How many registers a list has."""
    count = 0
    for part in operands[operands.index("{") + 1 : operands.index("}")].split(","):
        first, _, last = part.partition("-")
        count += int(last.strip()[1:]) - int(first.strip()[1:]) + 1 if last else 1
    return count
