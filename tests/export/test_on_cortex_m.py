"""The example as firmware: linked by Arm's gcc with its C library, run on QEMU's Cortex-M3, M4 and M7."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from export.conftest import tool

# The vectors, and the FPU switched on where the compiler uses it (Armv7-M reference manual, B3.2.20); then newlib's own
# start, whose printf and exit speak to QEMU.
START = """
#include <stdint.h>
extern void _start(void);
static void reset(void) {
#if defined(__ARM_FP)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\\nisb");
#endif
    _start();
}
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t stack;
    void (*reset)(void);
} vectors = {0x20400000u, reset};
"""
FPU = ("-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
MACHINES = {
    "m3": ("mps2-an385", ("-mcpu=cortex-m3",)),
    "m4": ("mps2-an386", ("-mcpu=cortex-m4", *FPU)),
    "m4 without its FPU": ("mps2-an386", ("-mcpu=cortex-m4",)),
    "m7": ("mps2-an500", ("-mcpu=cortex-m7", *FPU)),
}


@pytest.mark.parametrize("core", MACHINES)
def test_the_example_runs_on(core: str, library: Callable[[str], Path], tmp_path: Path) -> None:
    gcc, qemu = tool("arm-none-eabi-gcc"), tool("qemu-system-arm")
    machine, options = MACHINES[core]
    folder = library("cmake")
    (tmp_path / "start.c").write_text(START)
    sources = ["start.c", folder / "example/main.c", *sorted(folder.glob("src/*/*.c"))]
    link = ("--specs=rdimon.specs", "-Wl,--section-start=.vectors=0", "-Wl,-Tdata=0x20000000")
    compile_ = [gcc, "-mthumb", *options, "-Os", f"-I{folder}/src", *sources, *link, "-o", "app.elf"]
    subprocess.run(compile_, cwd=tmp_path, check=True)
    silent = ("-display", "none", "-monitor", "none", "-serial", "none")
    done = subprocess.run(
        [qemu, "-M", machine, *silent, "-semihosting", "-kernel", "app.elf"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert "exact: equals TensorFlow Lite Micro" in done.stdout
    assert done.returncode == 0
