"""Bare-metal programs for the virtual board, compiled in the test by the compiler that pip installs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tinydeploy.cores import CORES

FLAT_LINKER_SCRIPT = """
ENTRY(Reset_Handler)
MEMORY
{
  FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 1M
  RAM (rwx) : ORIGIN = %s, LENGTH = 64K
}
SECTIONS
{
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
  .data : { *(.data*) } > RAM AT > FLASH
  .bss (NOLOAD) : { *(.bss*) *(COMMON) } > RAM
  /DISCARD/ : { *(.ARM.exidx*) *(.ARM.extab*) }
}
__stack_limit = ORIGIN(RAM) + LENGTH(RAM);
__stack_top = __stack_limit + 4096;
"""

Compile = Callable[..., Path]


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """``compile_c(core name, source, *flags, ram="0x20000000", script=...) -> ELF``, cached by its arguments."""
    folder = tmp_path_factory.mktemp("programs")
    built: dict[tuple[str, ...], Path] = {}

    def compile_c(
        core_name: str, source: str, *flags: str, ram: str = "0x20000000", script: str = FLAT_LINKER_SCRIPT
    ) -> Path:
        key = (core_name, source, *flags, ram, script)
        if key not in built:
            core = CORES[core_name]
            path = folder / f"program{len(built)}.c"
            path.write_text(source)
            linker_script = path.with_suffix(".ld")
            linker_script.write_text(script % ram if "%s" in script else script)
            elf = path.with_suffix(".elf")
            command = [sys.executable, "-m", "ziglang", "cc", "-target", core.zig_target, f"-mcpu={core.zig_cpu}"]
            command += ["-O2", "-g", "-ffreestanding", "-fno-sanitize=all", "-fomit-frame-pointer", *flags]
            command += ["-Wl,-e,Reset_Handler", "-T", str(linker_script), str(path), "-o", str(elf)]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            assert run.returncode == 0, run.stderr
            built[key] = elf
        return built[key]

    return compile_c
