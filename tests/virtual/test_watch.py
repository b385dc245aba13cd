"""Counting calls of functions while firmware runs."""

from __future__ import annotations

import pytest
from virtual_programs import BOARDS, boot

from tinydeploy.errors import ToolchainError

BODY = """
volatile uint32_t ticks;
void SysTick_Handler(void) { ticks++; }
NAKED uint32_t leaf(uint32_t n) { __asm volatile("1: subs r0, #1\\n bne 1b\\n bx lr"); }
NAKED uint32_t outer(uint32_t n) {
    __asm volatile("push {r4, lr}\\n sub sp, #24\\n bl leaf\\n movs r0, #4\\n bl leaf\\n add sp, #24\\n pop {r4, pc}");
}
NAKED uint32_t recursive(uint32_t n) {
    __asm volatile("push {r4, lr}\\n subs r0, #1\\n beq 1f\\n bl recursive\\n 1: pop {r4, pc}");
}
NAKED uint32_t tail(uint32_t n) { __asm volatile("adds r0, #1\\n b.w leaf"); }
NAKED uint32_t again(uint32_t n) { __asm volatile("subs r0, #1\\n bne again\\n bx lr"); }
int main(void) {
    INTERRUPTS
    leaf(10);
    outer(3);
    recursive(3);
    tail(2);
    again(5);
    for (volatile int i = 0; i < 3; i++) leaf(1000);
    return 0;
}
"""


def leaf(n: int) -> int:
    return 2 * n + 1


EXPECTED = [
    ("leaf", leaf(10), 0),
    ("leaf", leaf(3), 0),
    ("leaf", leaf(4), 0),
    ("outer", 3 + leaf(3) + 2 + leaf(4) + 2, 32),
    ("recursive", 4, 8),
    ("recursive", 4 + 5, 16),
    ("recursive", 4 + 10, 24),
    ("leaf", leaf(3), 0),
    ("tail", 2 + leaf(3), 0),
    ("again", leaf(5), 0),
    ("leaf", leaf(1000), 0),
    ("leaf", leaf(1000), 0),
    ("leaf", leaf(1000), 0),
]


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("interrupts", ["", "SYST_RVR = 401; SYST_CVR = 0; SYST_CSR = 7;"])
def test_each_call_is_counted_without_interrupts(board: str, interrupts: str) -> None:
    running = boot(board, BODY.replace("INTERRUPTS", interrupts))
    running.watch(["leaf", "outer", "recursive", "tail", "again"])
    running.run(0.02)
    calls = running.take_calls()
    assert [(call.symbol, call.instructions, call.stack_bytes) for call in calls] == EXPECTED
    assert all(call.cycles > 0 for call in calls)
    assert running.take_calls() == []


def test_watching_starts_in_the_middle_of_a_run() -> None:
    running = boot(
        "nucleo_l4r5zi", 'NOINLINE void work(void) { __asm volatile("nop"); } int main(void) { for (;;) work(); }'
    )
    running.run(0.001)
    running.watch(["work"])
    running.run(0.001)
    calls = running.take_calls()
    assert len(calls) > 50
    assert {call.instructions for call in calls} == {2}


def test_an_unknown_symbol_is_named() -> None:
    running = boot("nucleo_l4r5zi", "int main(void) { return 0; }")
    with pytest.raises(ToolchainError, match="no symbol 'nothing'"):
        running.watch(["nothing"])
