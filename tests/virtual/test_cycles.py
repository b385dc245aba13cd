"""The cycle models follow the rules that they state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tinydeploy.cores import CORES
from tinydeploy.virtual.bare import BareCore

Compile = Callable[..., Path]

# Between two NOPs, and what the code between them costs on a Cortex-M4 (DDI 0439, zero wait states).
M4_CASES: dict[str, int] = {
    "": 0,
    "adds r1, r1, r2": 1,
    "mul r1, r2, r3\n mla r1, r2, r3, r1\n smlad r1, r2, r3, r1\n smull r1, r2, r3, r3": 4,
    "ldr r1, [r0]": 2,
    "ldr r1, [r0]\n ldr r2, [r0, #4]": 3,
    "ldr r1, [r0]\n ldr r2, [r0, #4]\n ldr r3, [r0, #8]": 4,
    "ldr r1, [r0]\n ldr r2, [r0, r1]": 4,
    "ldr r1, [r0], #4\n ldr r2, [r0], #-4": 3,
    "ldr r1, [r0]\n adds r2, #1\n ldr r1, [r0]": 5,
    "str r1, [r0]": 1,
    "str r1, [r0, r2]": 2,
    "ldrd r1, r2, [r0]": 3,
    "strd r1, r2, [r0]": 3,
    "ldm r0, {r1, r2, r3}": 4,
    "push {r1, r2}\n pop {r1, r2}": 6,
    "udiv r1, r1, r3": 7,
    "it eq\n addeq r1, #1": 1,
    "adds.w r1, r1, #1\n it eq\n addeq r1, #1": 3,
    "b 1f\n 1:": 3,
    "movs r1, #1\n cbz r1, 1f\n nop\n 1:": 3,
    "movs r1, #0\n cbz r1, 1f\n nop\n 1:": 4,
    "bl 1f\n b 2f\n 1: bx lr\n 2:": 9,
    "vadd.f32 s0, s1, s2": 1,
    "vadd.f32 s0, s1, s2\n vadd.f32 s3, s0, s2": 3,
    "vmla.f32 s0, s1, s2": 3,
    "vdiv.f32 s0, s1, s2": 14,
    "vldr s0, [r0]\n vldr s1, [r0, #4]": 3,
    "vldmia r0, {s0-s3}": 5,
    "isb": 4,
}


def program(cases: dict[str, int]) -> str:
    functions = []
    for index, text in enumerate(("", *cases)):
        code = text.replace("\n", "\\n")
        functions.append(
            f"__attribute__((naked)) void f{index}(void *p) {{ __asm volatile("
            f'"mov r12, lr\\n movs r1, #4\\n movs r2, #4\\n movs r3, #2\\n nop\\n nop\\n'
            f'{code}\\n nop\\n nop\\n bx r12"); }}'
        )
    return "void Reset_Handler(void) {}\n" + "\n".join(functions)


@pytest.fixture(scope="module")
def m4(compile_c: Compile) -> BareCore:
    return BareCore(CORES["m4"], compile_c("m4", program(M4_CASES)))


def cost(bare: BareCore, index: int) -> int:
    buffer = bare.allocate(64)
    return bare.call(f"f{index + 1}", buffer).cycles - bare.call("f0", buffer).cycles


@pytest.mark.parametrize("text", M4_CASES)
def test_m4_rules(m4: BareCore, text: str) -> None:
    assert cost(m4, list(M4_CASES).index(text)) == M4_CASES[text]


def test_every_model_says_that_it_is_an_estimate() -> None:
    from tinydeploy.virtual.models import model_for

    for name in ("m0plus", "m4", "m7"):
        model = model_for(CORES[name])
        assert "estimate" in model.statement
        assert CORES[name].title in model.statement


def test_m0plus_runs_and_counts(compile_c: Compile) -> None:
    source = """
void Reset_Handler(void) {}
int sum(const signed char *a, const signed char *b, int n) { int s = 0; while (n--) s += *a++ * *b++; return s; }
__attribute__((naked)) int ten(void) {
    __asm volatile("movs r0, #0\\n1: adds r0, #1\\n cmp r0, #10\\n bne 1b\\n bx lr");
}
"""
    bare = BareCore(CORES["m0plus"], compile_c("m0plus", source))
    data = bytes(range(100))
    assert bare.call("sum", bare.allocate(data), bare.allocate(data), 100).value == sum(x * x for x in data)
    result = bare.call("ten")
    assert (result.instructions, result.cycles) == (32, 1 + 30 + 9 + 1)
