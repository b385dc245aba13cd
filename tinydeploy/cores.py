"""The Cortex-M cores: what a core can do and which compiler flags say so.

A new core is one entry in ``CORES``; the portable C kernels run on it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Core:
    """One CPU core type.

    ``zig_cpu`` and ``gcc_flags`` are the spellings of the same machine for the two toolchains. ``dsp`` is the Armv7E-M
    SIMD extension (SMLAD and kin), ``mve`` the M-profile Vector Extension on integers. ``cycle_counter`` names the
    32-bit (DWT) or 24-bit (SysTick) counter that firmware reads. ``virtual`` says that the virtual board has the core:
    Unicorn has no Cortex-M55.
    """

    name: str
    title: str
    zig_cpu: str
    zig_target: str
    gcc_flags: tuple[str, ...]
    dsp: bool
    mve: bool
    fpu: Literal["none", "single", "double"]
    caches: bool
    cycle_counter: Literal["dwt", "systick"]
    virtual: bool = True


CORES: dict[str, Core] = {
    core.name: core
    for core in (
        Core(
            name="m0plus",
            title="Cortex-M0+",
            zig_cpu="cortex_m0plus",
            zig_target="thumb-freestanding-eabi",
            gcc_flags=("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"),
            dsp=False,
            mve=False,
            fpu="none",
            caches=False,
            cycle_counter="systick",
        ),
        Core(
            name="m4",
            title="Cortex-M4",
            # Without the explicit FPU feature zig emits soft-float calls under eabihf.
            zig_cpu="cortex_m4+vfp4d16sp",
            zig_target="thumb-freestanding-eabihf",
            gcc_flags=("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
            dsp=True,
            mve=False,
            fpu="single",
            caches=False,
            cycle_counter="dwt",
        ),
        Core(
            name="m7",
            title="Cortex-M7",
            # Single precision: the F74x parts have no double-precision FPU, and one spelling serves every M7. The M4's
            # name for the order of instructions: tuned for the M7, C takes up to 0.1 % more, in no fewer cycles.
            zig_cpu="cortex_m4+fp_armv8d16sp",
            zig_target="thumb-freestanding-eabihf",
            gcc_flags=("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
            dsp=True,
            mve=False,
            fpu="single",
            caches=True,
            cycle_counter="dwt",
        ),
        Core(
            name="m33",
            title="Cortex-M33",
            # The DSP extension is optional in Armv8-M; without the word zig leaves it out.
            zig_cpu="cortex_m33+dsp+fp_armv8d16sp",
            zig_target="thumb-freestanding-eabihf",
            gcc_flags=("-mcpu=cortex-m33", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
            dsp=True,
            mve=False,
            fpu="single",
            caches=False,
            cycle_counter="dwt",
        ),
        Core(
            name="m55",
            title="Cortex-M55",
            # MVE on integers alone: on floats it flushes denormals to zero, whatever the compiler was asked for.
            zig_cpu="cortex_m55+mve+fp_armv8d16sp-mve_fp",
            zig_target="thumb-freestanding-eabihf",
            gcc_flags=("-mcpu=cortex-m55+nomve.fp", "-mthumb", "-mfloat-abi=hard"),
            dsp=True,
            mve=True,
            fpu="single",
            caches=False,
            cycle_counter="dwt",
            virtual=False,
        ),
    )
}

# Names of the cores that the virtual board has.
VIRTUAL_CORES = tuple(name for name, core in CORES.items() if core.virtual)
