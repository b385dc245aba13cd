"""Single functions on a bare core: values, exact counts, guard pages, faults with their source line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from tinydeploy.cores import CORES
from tinydeploy.errors import FirmwareFaultError, ToolchainError
from tinydeploy.virtual.bare import BareCore

Compile = Callable[..., Path]

SOURCE = """
#include <stdint.h>
int32_t table[4] = {1, 2, 3, 4};
int32_t out[4];
void Reset_Handler(void) {}
void twice(int n) { for (int i = 0; i < n; i++) out[i] = 2 * table[i]; }
int weigh(int a, int b, int c, int d, int e, int f) { return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f; }
__attribute__((naked)) int count_to_ten(void) {
    __asm volatile("movs r0, #0\\n1: adds r0, #1\\n cmp r0, #10\\n bne 1b\\n bx lr");
}
__attribute__((naked)) int skipped(void) {
    __asm volatile("movs r0, #1\\n cmp r0, #0\\n itte eq\\n moveq r0, #7\\n moveq r0, #8\\n movne r0, #9\\n bx lr");
}
int sum(const int *values, int n) {
    int total = 0;
    for (int i = 0; i < n; i++) total += values[i];
    return total;
}
__attribute__((naked)) int deep(int n) {
    __asm volatile("push {r4, lr}\\n sub sp, #64\\n subs r0, #1\\n it pl\\n blpl deep\\n add sp, #64\\n pop {r4, pc}");
}
void undefined(void) { __asm volatile("udf #1"); }
"""
ACCESS = """
void Reset_Handler(void) {}
void put(char *p, int n) { *(volatile char *)(p + n) = 1; }
__attribute__((naked)) int word(const char *p, int n) { __asm volatile("ldr r0, [r0, r1]\\n bx lr"); }
"""
UNALIGNED = """
#include <stdint.h>
void Reset_Handler(void) {}
#define NAKED __attribute__((naked)) int
NAKED ldrd_known(const char *p) { __asm volatile("ldrd r2, r3, [r0]\\n bx lr"); }
NAKED ldrd_loaded(char **p) { __asm volatile("ldr r1, [r0]\\n ldrd r2, r3, [r1]\\n bx lr"); }
NAKED ldm_moved(const char *p) { __asm volatile("add r1, r0, #8\\n ldm r1!, {r2, r3}\\n bx lr"); }
NAKED stm_shifted(char *p, int n) { __asm volatile("add r1, r0, r1, lsl #1\\n stmia r1!, {r2, r3}\\n bx lr"); }
NAKED vldm_based(const char *p) { __asm volatile("vldmia r0!, {s0-s3}\\n bx lr"); }
NAKED vldr_based(const char *p) { __asm volatile("vldr s0, [r0, #4]\\n bx lr"); }
NAKED strd_loop(char *p, int n) {
    __asm volatile("1: strd r2, r3, [r0], #8\\n subs r1, #1\\n bne 1b\\n bx lr");
}
NAKED strd_drifts(char *p, int n) {
    __asm volatile("1: strd r2, r3, [r0]\\n adds r0, #1\\n subs r1, #1\\n bne 1b\\n bx lr");
}
NAKED ldrd_spilled(char *p) {
    __asm volatile("push {r0, r1, r4, lr}\\n movs r4, #2\\n b 1f\\n 1: ldr r1, [sp]\\n"
                   "strb r4, [r0]\\n ldrd r2, r3, [r1, #8]\\n"
                   "subs r4, #1\\n bne 1b\\n pop {r0, r1, r4, pc}");
}
NAKED ldrd_forwarded(char *p) {
    __asm volatile("sub sp, #8\\n adds r1, r0, #4\\n str r1, [sp, #4]\\n ldr r2, [sp, #4]\\n"
                   "ldm r2, {r0, r3}\\n add sp, #8\\n bx lr");
}
NAKED ldrd_aliased(char **p) {
    __asm volatile("mov r1, sp\\n push {r0, r1}\\n subs r1, #8\\n ldr r3, [r0]\\n str r3, [r1]\\n"
                   "ldr r2, [sp]\\n ldrd r0, r3, [r2]\\n"
                   "pop {r0, r1}\\n bx lr");
}
NAKED ldm_skipped(char *p) {
    __asm volatile("cmp r0, #0\\n it eq\\n ldmeq r0, {r2, r3}\\n movs r0, #5\\n bx lr");
}
NAKED ldm_in_it(char *p) {
    __asm volatile("cmp r0, #0\\n it ne\\n ldmne r0, {r2, r3}\\n movs r0, #5\\n bx lr");
}
"""


@pytest.fixture(scope="module", params=["m4", "m7"])
def bare(request: pytest.FixtureRequest, compile_c: Compile) -> BareCore:
    return BareCore(CORES[request.param], compile_c(request.param, SOURCE))


@pytest.fixture(scope="module")
def unaligned(compile_c: Compile) -> BareCore:
    return BareCore(CORES["m7"], compile_c("m7", UNALIGNED))


def test_symbols_are_read_and_written(bare: BareCore) -> None:
    bare.write("table", b"".join(value.to_bytes(4, "little") for value in (10, 20, 30, 40)))
    result = bare.call("twice", 4)
    assert bare.read("out", 16) == b"".join(value.to_bytes(4, "little") for value in (20, 40, 60, 80))
    assert result.instructions > 4
    assert result.cycles > 0


def test_arguments_beyond_four_go_on_the_stack(bare: BareCore) -> None:
    assert bare.call("weigh", 1, 2, 3, 4, 5, 6).value == 91


def test_instructions_are_counted_exactly_and_again(bare: BareCore) -> None:
    for _ in range(2):
        result = bare.call("count_to_ten")
        assert (result.value, result.instructions) == (10, 1 + 10 * 3 + 1)


def test_instructions_that_an_it_block_skips_are_counted(bare: BareCore) -> None:
    result = bare.call("skipped")
    assert (result.value, result.instructions) == (9, 7)


def test_cycles_follow_the_stated_rules(compile_c: Compile) -> None:
    m4 = BareCore(CORES["m4"], compile_c("m4", SOURCE))
    # movs; ten times adds, cmp, bne; nine times the branch is taken (+2); bx and the return's refill.
    assert m4.call("count_to_ten").cycles == 1 + 10 * 3 + 9 * 2 + 1


def test_a_read_past_the_buffer_names_line_and_address(bare: BareCore) -> None:
    buffer = bare.allocate(bytes(16))
    assert bare.call("sum", buffer, 4).value == 0
    with pytest.raises(FirmwareFaultError, match=r"program\d+\.c:\d+, sum .* reads 4 bytes at"):
        bare.call("sum", buffer, 5)
    with pytest.raises(FirmwareFaultError, match="reads 4 bytes"):
        bare.call("sum", 0, 1)


@pytest.mark.parametrize(("against", "alignment", "outside"), [("end", 1, (7,)), ("start", 8, (-1,))])
def test_a_buffer_ends_to_the_byte_at_the_side_it_lies_against(
    compile_c: Compile, against: Literal["end", "start"], alignment: int, outside: tuple[int, ...]
) -> None:
    bare = BareCore(CORES["m4"], compile_c("m4", ACCESS))
    at = bare.allocate(bytes(range(1, 8)), against=against, alignment=alignment)
    assert at % alignment == 0
    for offset in (0, 6):
        bare.call("put", at, offset)
    assert bare.read(at, 7) == bytes([1, 2, 3, 4, 5, 6, 1])
    assert bare.call("word", at, 3).value == 0x01060504
    for offset in outside:
        with pytest.raises(FirmwareFaultError, match=r"put .* writes 1 bytes .* nothing is mapped"):
            bare.call("put", at, offset)
        with pytest.raises(FirmwareFaultError, match=r"word .* reads 4 bytes .* nothing is mapped"):
            bare.call("word", at, offset if offset < 0 else offset - 3)


def test_unaligned_words_fault_where_armv6m_does(compile_c: Compile) -> None:
    m0plus, m4 = (BareCore(CORES[core], compile_c(core, ACCESS)) for core in ("m0plus", "m4"))
    assert m4.call("word", m4.allocate(bytes([9, 1, 0, 0, 0, 9])), 1).value == 1
    with pytest.raises(FirmwareFaultError, match=r"exception 4 at .* word "):
        m0plus.call("word", m0plus.allocate(bytes(6)), 1)


def test_a_read_only_buffer_takes_no_write(compile_c: Compile) -> None:
    bare = BareCore(CORES["m4"], compile_c("m4", ACCESS))
    with pytest.raises(FirmwareFaultError, match=r"put .* writes 1 bytes"):
        bare.call("put", bare.allocate(bytes(4), writable=False), 2)


def test_stack_use_is_measured(bare: BareCore) -> None:
    assert [bare.call("deep", n).stack_bytes for n in (0, 9, 3)] == [72 * 1, 72 * 10, 72 * 4]


def test_undefined_instruction_stops(bare: BareCore) -> None:
    with pytest.raises(FirmwareFaultError, match=r"undefined instruction .*undefined \(0x08"):
        bare.call("undefined")


def test_missing_symbol_is_named(bare: BareCore) -> None:
    with pytest.raises(ToolchainError, match="no symbol 'nothing'"):
        bare.call("nothing")


@pytest.mark.parametrize(
    ("symbol", "offset", "second", "faults"),
    [
        ("ldrd_known", 0, 0, False),
        ("ldrd_known", 2, 0, True),
        ("ldm_moved", 4, 0, False),
        ("ldm_moved", 1, 0, True),
        ("stm_shifted", 0, 2, False),
        ("stm_shifted", 0, 3, True),
        ("stm_shifted", 2, 3, False),
        ("vldm_based", 0, 0, False),
        ("vldm_based", 3, 0, True),
        ("vldr_based", 1, 0, True),
        ("strd_loop", 0, 5, False),
        ("strd_loop", 2, 5, True),
        ("strd_drifts", 0, 1, False),
        ("strd_drifts", 0, 2, True),
        ("ldrd_spilled", 0, 0, False),
        ("ldrd_spilled", 2, 0, True),
        ("ldrd_forwarded", 0, 0, False),
        ("ldrd_forwarded", 1, 0, True),
        ("ldm_skipped", 1, 0, False),
        ("ldm_in_it", 1, 0, True),
        ("ldm_in_it", 0, 0, False),
    ],
)
def test_unaligned_multiple_access_faults_as_on_silicon(
    unaligned: BareCore, symbol: str, offset: int, second: int, faults: bool
) -> None:
    place = unaligned.allocate(bytes(64)) + offset
    if faults:
        with pytest.raises(FirmwareFaultError, match=rf"{symbol} \(.*not a multiple of 4"):
            unaligned.call(symbol, place, second)
    else:
        unaligned.call(symbol, place, second)


@pytest.mark.parametrize("symbol", ["ldrd_loaded", "ldrd_aliased"])
def test_unaligned_base_from_memory_faults(unaligned: BareCore, symbol: str) -> None:
    target = unaligned.allocate(bytes(16))
    for offset in (0, 2, 4):
        pointer = unaligned.allocate((target + offset).to_bytes(4, "little"))
        if offset % 4:
            with pytest.raises(FirmwareFaultError, match=symbol):
                unaligned.call(symbol, pointer)
        else:
            unaligned.call(symbol, pointer)


@pytest.mark.parametrize("before", [0, 90, 200, 251])
def test_long_straight_code_is_counted_exactly_however_it_is_cut_into_blocks(compile_c: Compile, before: int) -> None:
    """Unicorn cuts at pages and where its buffers end, and may cut elsewhere the next time."""
    lines = ["sub sp, #16", *["nop"] * before, "1:"]
    lines += ["ldm sp, {r1, r2, r3}", "smlad r1, r2, r3, r1", "smlad r2, r3, r1, r2", "smlad r3, r1, r2, r3"] * 175
    lines += ["subs r0, #1", "bne.w 1b", "add sp, #16", "bx lr"]
    body = "\\n".join(lines)
    source = f'void Reset_Handler(void) {{}}\n__attribute__((naked)) int run(int n) {{ __asm volatile("{body}"); }}\n'
    bare = BareCore(CORES["m4"], compile_c("m4", source))
    for rounds in (1, 2, 5):
        assert bare.call("run", rounds).instructions == 1 + before + 702 * rounds + 2


def test_counts_stay_exact_when_a_hook_makes_unicorn_cut_blocks_elsewhere(compile_c: Compile) -> None:
    body = ["push {r4, r5}", "1:", "ldr r3, [r1]", *["ldmia r3, {r2, r4, r5}", "smlad r2, r4, r5, r2"] * 120]
    body += ["ldr r3, [r1]", "str r3, [r1]"]
    body += ["ldr r3, [r1]", "ldmia r3, {r2, r4, r5}", *["smlad r2, r4, r5, r2"] * 8] * 12
    body += ["subs r0, #1", "bne.w 1b", "pop {r4, r5}", "bx lr"]
    text = "\\n".join(body)
    source = (
        f'void Reset_Handler(void) {{}}\n__attribute__((naked)) int run(int n, int *p) {{ __asm volatile("{text}"); }}'
    )
    bare = BareCore(CORES["m4"], compile_c("m4", source))
    target = bare.allocate(bytes(16))
    pointer = bare.allocate(target.to_bytes(4, "little"))
    for rounds in (1, 3, 2):
        assert bare.call("run", rounds, pointer).instructions == 1 + rounds * (len(body) - 4) + 2
