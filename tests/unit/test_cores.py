"""What the table of cores says of a core is what the compiler is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tinydeploy.cores import CORES, Core


def defined(core: Core) -> set[str]:
    """The macros that zig defines for `core`."""
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", core.zig_target, f"-mcpu={core.zig_cpu}"]
    done = subprocess.run([*zig, "-E", "-dM", "-x", "c", "/dev/null"], capture_output=True, text=True, check=True)
    return {line.split()[1] for line in done.stdout.splitlines()}


@pytest.mark.parametrize("core", CORES.values(), ids=lambda core: core.name)
def test_zig_uses_the_extensions_that_the_core_has(core: Core) -> None:
    """A missing flag costs no error: kernels fall back to plain C, four times slower."""
    macros = defined(core)
    assert ("__ARM_FEATURE_DSP" in macros) == core.dsp
    assert ("__ARM_FEATURE_MVE" in macros) == core.mve
    assert ("__ARM_FP" in macros) == (core.fpu != "none")
