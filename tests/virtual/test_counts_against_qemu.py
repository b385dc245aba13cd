"""Instruction counts are equal to QEMU's, which runs one instruction at a time and logs each."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinydeploy.cores import CORES
from tinydeploy.virtual.bare import BareCore

QEMU = shutil.which("qemu-system-arm")
GCC = shutil.which("arm-none-eabi-gcc")
pytestmark = pytest.mark.skipif(QEMU is None, reason="qemu-system-arm is not installed")

LINKER_SCRIPT = """
ENTRY(Reset_Handler)
MEMORY
{
  FLASH (rx) : ORIGIN = 0x00000000, LENGTH = 256K
  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 32K
}
SECTIONS
{
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
  .bss (NOLOAD) : { *(.data*) *(.bss*) *(COMMON) } > RAM
  /DISCARD/ : { *(.ARM.exidx*) *(.ARM.extab*) }
}
__stack_top = ORIGIN(RAM) + LENGTH(RAM);
"""
# Loops, calls, recursion, IT blocks (taken and skipped), jump tables, division, DSP, load and store multiple, floats,
# and code that crosses a page. The low byte of the checksum is QEMU's exit status.
SOURCE = r"""
#include <stdint.h>
extern uint32_t __stack_top[];
int work(void);
__attribute__((naked, used)) void finish(void) {
    __asm volatile("push {r0}\n ldr r0, =0x20026\n push {r0}\n mov r1, sp\n ldr r2, [r1, #4]\n uxtb r2, r2\n"
                   "str r2, [r1, #4]\n movs r0, #0x20\n bkpt 0xAB\n 1: b 1b");
}
__attribute__((naked)) void Reset_Handler(void) {
    __asm volatile("ldr r0, =0xE000ED88\n ldr r1, =0xF00000\n str r1, [r0]\n dsb\n isb\n bl work\n b finish");
}
__attribute__((section(".vectors"), used)) void *const vectors[16] = {__stack_top, (void *)Reset_Handler};
static uint8_t bytes[4096];
static uint32_t state = 12345;
__attribute__((noinline)) static uint32_t next(void) { return state = state * 1664525u + 1013904223u; }
__attribute__((noinline)) static int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
__attribute__((noinline)) static uint32_t choose(uint32_t n) {
    switch (n % 9) {
        case 0: return n + 1; case 1: return n ^ 0x55; case 2: return n << 3; case 3: return ~n; case 4: return n / 7;
        case 5: return n % 11; case 6: return n * n; case 7: return n >> 2; default: return 3;
    }
}
__attribute__((noinline)) static void sort(uint8_t *values, int n) {
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && values[j - 1] > values[j]; j--) {
            uint8_t t = values[j]; values[j] = values[j - 1]; values[j - 1] = t;
        }
}
__attribute__((naked, noinline)) static uint32_t skipping(uint32_t n) {
    __asm volatile("movs r1, #0\n"
        "1: tst r0, #1\n ittee ne\n addne r1, #1\n addne r1, r1, r0\n addeq r1, #7\n subeq r1, r1, r0\n"
        "tst r0, #2\n it eq\n ldreq r2, [sp]\n tst r0, #4\n itt ne\n pushne {r1, r2}\n popne {r1, r2}\n"
        "cmp r0, #5\n ite hi\n eorhi r1, r0\n bicls r1, r0\n"
        "subs r0, #1\n bne 1b\n mov r0, r1\n bx lr");
}
__attribute__((naked, noinline)) static uint32_t dsp(uint32_t n) {
    __asm volatile("push {r4-r7, lr}\n ldr r1, =0x12348765\n ldr r2, =0x0102fefd\n movs r3, #0\n movs r4, #0\n"
        "1: smlad r3, r1, r2, r3\n sxtb16 r5, r1, ror #8\n pkhbt r6, r1, r2, lsl #16\n smlald r3, r4, r5, r6\n"
        "ssat r7, #8, r3, asr #4\n usat16 r7, #7, r7\n sadd8 r1, r1, r7\n sel r2, r2, r1\n smmulr r7, r1, r2\n"
        "qadd r3, r3, r7\n uadd16 r2, r2, r5\n subs r0, #1\n bne 1b\n"
        "eor r0, r3, r4\n pop {r4-r7, pc}\n .ltorg");
}
__attribute__((naked, noinline)) static uint32_t straight(void) {
    __asm volatile("movs r0, #0\n .rept 600\n add r0, r0, #1\n .endr\n bx lr");
}
__attribute__((noinline)) static float polynomial(float x) {
    float sum = 0.0f;
    for (int i = 0; i < 50; i++) sum = sum * x + (float)i / (x + 2.0f);
    return sum > 1000.0f ? 1.0f : sum;
}
int work(void) {
    uint32_t sum = 0;
    for (int i = 0; i < 300; i++) bytes[i] = (uint8_t)(next() >> 24);
    sort(bytes, 150);
    for (int i = 0; i < 300; i++) sum = sum * 31 + bytes[i];
    for (uint32_t i = 0; i < 200; i++) sum += choose(next() >> 8);
    sum += (uint32_t)fibonacci(12) + skipping(200) + dsp(300);
    for (int i = 0; i < 10; i++) sum += (uint32_t)(polynomial(0.1f * (float)i) * 1000.0f);
    return (int)(sum + straight());
}
"""


def build(folder: Path, core_name: str, compiler: str, optimize: str) -> Path:
    core = CORES[core_name]
    source, script, elf = folder / "work.c", folder / "work.ld", folder / "work.elf"
    source.write_text(SOURCE)
    script.write_text(LINKER_SCRIPT)
    if compiler == "gcc":
        assert GCC is not None
        command = [GCC, *core.gcc_flags, "-nostdlib"]
    else:
        command = [sys.executable, "-m", "ziglang", "cc", "-target", core.zig_target, f"-mcpu={core.zig_cpu}"]
        command += ["-fno-sanitize=all"]
    command += [
        optimize,
        "-ffreestanding",
        "-fno-tree-loop-distribute-patterns" if compiler == "gcc" else "-fno-builtin",
    ]
    command += ["-Wl,-e,Reset_Handler", "-T", str(script), str(source), "-o", str(elf)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return elf


def qemu_count(elf: Path, machine: str, entry: int) -> tuple[int, int]:
    """Instructions of the call of `entry`, its return included, and the exit status."""
    log = elf.with_suffix(".log")
    assert QEMU is not None
    command = [QEMU, "-M", machine, "-display", "none", "-monitor", "none", "-serial", "null"]
    command += ["-semihosting-config", "enable=on,target=native", "-kernel", str(elf)]
    run = subprocess.run([*command, "-singlestep", "-d", "exec,nochain", "-D", str(log)], timeout=120, check=False)
    places = [int(match, 16) for match in re.findall(r"^Trace \d+: \S+ \[\w+/(\w+)/", log.read_text(), re.MULTILINE)]
    log.unlink()
    first = places.index(entry)
    last = places.index(places[first - 1] + 4, first)  # the instruction after the BL that called it
    return last - first, run.returncode


@pytest.mark.parametrize("optimize", ["-O0", "-O3"])
@pytest.mark.parametrize(
    ("machine", "core_name"), [("netduinoplus2", "m4"), ("mps2-an386", "m4"), ("mps2-an500", "m7")]
)
@pytest.mark.parametrize("compiler", ["zig", "gcc"])
def test_count_and_result_are_qemus(tmp_path: Path, compiler: str, machine: str, core_name: str, optimize: str) -> None:
    if compiler == "gcc" and GCC is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    elf = build(tmp_path, core_name, compiler, optimize)
    bare = BareCore(CORES[core_name], elf)
    count, status = qemu_count(elf, machine, bare.address("work"))
    result = bare.call("work")
    assert count > 30_000
    assert (result.instructions, result.value & 0xFF) == (count, status)
