"""The pipeline of the Cortex-M7 issues as others measured on silicon (virtual/models/m7_pipeline.py names them)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("unicorn")
from tinydeploy.cores import CORES
from tinydeploy.virtual.bare import BareCore
from tinydeploy.virtual.decode import Decoder, Instruction
from tinydeploy.virtual.models.m7_pipeline import issue_cycles

Compile = Callable[..., Path]

GROUP = "ldr r4, [r2, #640]\n sxtb16 r8, r4, ror #8\n sxtb16 r4, r4\n smlad r7, r8, r1, r7\n smlad r7, r4, r3, r7\n"
# Cycles from the first issue to the last: an instruction alone in its cycle is half of one.
CASES: dict[str, float] = {
    "add.w r1, r2, r3\n eor.w r4, r5, r6": 1,
    "add.w r1, r2, r3\n add.w r4, r1, r3": 1,  # the first adds in EX1
    "eor.w r1, r2, r3\n eor.w r4, r1, r3": 1.5,
    "eor.w r1, r2, r3\n add.w r4, r5, r1, lsl #2": 2.5,  # shifted operands are taken in EX1
    "add.w r1, r2, r3, lsl #2\n add.w r4, r5, r6, lsl #2": 1.5,  # one shifter there
    "lsl.w r1, r2, #3\n eor.w r4, r1, r3": 1,
    "ldr.w r1, [r0]\n eor.w r2, r1, r3": 1.5,
    "ldr.w r1, [r0]\n smlad r2, r1, r3, r2": 2.5,
    "ldr.w r1, [r0]\n smlad r2, r3, r3, r1": 1.5,  # accumulated in EX3
    "ldrb.w r1, [r0]\n eor.w r2, r1, r3": 2.5,
    "ldr.w r1, [r0]\n ldr.w r2, [r1]": 2.5,
    "ldr.w r1, [r0], #4\n eor.w r2, r0, r3": 1,
    "ldr.w r1, [r0]\n str.w r1, [r2]": 1,  # stored in EX4
    "str.w r1, [r0]\n str.w r1, [r2]": 1.5,
    "ldrd r1, r2, [r0]\n eor.w r3, r4, r5": 1.5,
    "ldm.w r0, {r1, r2, r3, r4}": 2,
    "smlad r1, r2, r3, r1\n ldr.w r4, [r0]": 1,
    "smlad r1, r2, r3, r1\n str.w r4, [r0]": 1.5,
    "smlad r1, r2, r3, r1\n" * 4: 3.5,
    "smlad r1, r2, r3, r1\n eor.w r4, r1, r3": 2.5,
    "sxtb16 r1, r3\n smlad r4, r5, r6, r4": 1,
    "smlad r4, r5, r6, r4\n sxtb16 r1, r3": 1.5,  # DSP instructions are the older
    "sxtb16 r1, r3\n sxtb16 r2, r4": 1.5,
    "ssat r1, #8, r2\n eor.w r3, r1, r4": 2.5,
    "rev.w r1, r2\n eor.w r3, r1, r4": 1,
    "udiv r1, r2, r3": 7,
    "cmp.w r1, r2\n it eq\n moveq r3, r4": 1.5,
    "vmul.f32 s0, s1, s2\n vadd.f32 s3, s0, s1": 3.5,
    "vmul.f32 s0, s1, s2\n eor.w r1, r2, r3": 1,
    GROUP * 6: 3 * 6 + 0.5,  # the loop of MLPerf Tiny's autoencoder: three cycles for four products
}


@pytest.fixture(scope="module")
def core(compile_c: Compile) -> BareCore:
    functions = (
        f'__attribute__((naked, used)) void f{index}(void) {{ __asm volatile("{code}\\n bx lr"); }}'
        for index, code in enumerate(text.replace("\n", "\\n") for text in CASES)
    )
    return BareCore(CORES["m7"], compile_c("m7", "void Reset_Handler(void) {}\n" + "\n".join(functions)))


def instructions(core: BareCore, text: str) -> tuple[Instruction, ...]:
    address = core.address(f"f{list(CASES).index(text)}") & ~1
    count = sum(bool(line.strip()) for line in text.split("\n"))
    return Decoder().block(address, core.read(address, 4 * count)).instructions[:count]


@pytest.mark.parametrize("text", CASES, ids=lambda text: text.replace("\n", ";")[:60])
def test_straight_line_code_issues_as_measured(core: BareCore, text: str) -> None:
    assert issue_cycles(instructions(core, text)) == CASES[text]


def test_every_instruction_takes_time(core: BareCore) -> None:
    """Half a cycle at least, whatever came before: or time would stand in a loop."""
    for text in CASES:
        code = instructions(core, text)
        times = [issue_cycles(code[:count]) for count in range(len(code) + 1)]
        assert min(later - sooner for sooner, later in itertools.pairwise(times)) >= 0.5


def test_the_end_of_a_loop_is_mispredicted(compile_c: Compile) -> None:
    """Only once, where the loop is left."""
    source = '__attribute__((naked)) void count(int n) { __asm volatile("1: subs r0, #1\\n bne 1b\\n bx lr"); }'
    bare = BareCore(CORES["m7"], compile_c("m7", "void Reset_Handler(void) {}\n" + source))
    bare.call("count", 5)
    costs = {
        (previous.address == block.address): bare.counter.model.cycles(previous, block)
        for previous, block, _runs in bare.counter.edges()
        if previous is not None and previous.last.mnemonic == "b"
    }
    assert costs[True] == 1
    assert costs[False] == pytest.approx(8.5, abs=0.5)
