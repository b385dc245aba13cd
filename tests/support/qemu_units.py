"""Generated C on QEMU's mps3-an547, the only Cortex-M55 there is here: results, and exact instruction counts.

QEMU translates one instruction at a time (``-singlestep``) and logs each (``-d exec,nochain``), so the length of the
log is the count. Instructions that a predicate switches off count, and so does a loop's LE at every turn.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from support.compiled import NATIVE, Unit, compile_units, run_tool
from tinydeploy.cores import CORES
from tinydeploy.resources import resource_dir
from tinydeploy.toolchain import Toolchain
from tinydeploy.virtual.image import ElfImage, Symbol

QEMU = shutil.which("qemu-system-arm")
needs_qemu = pytest.mark.skipif(QEMU is None, reason="qemu-system-arm is not installed")
MACHINE = "mps3-an547"
CORE = CORES["m55"]
_STEP = "u0_model_step_"
_PLACE = re.compile(rb"Trace \d+: \S+ \[\w+/(\w+)/")
_LIMIT_S = 600
_FAILURES = {
    2: "a request that makes no sense",
    3: "a step wrote outside its buffers",
    4: "its steps give another output",
}


@dataclass(frozen=True, slots=True)
class QemuBuild:
    """All units in one ELF for QEMU's board."""

    units: Sequence[Unit]
    elf: Path

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[np.uint8]]:
        """As :meth:`HostBuild.run`, in one run of QEMU."""
        status, raw = self._exchange(_request(number, values) for number, values in enumerate(inputs))
        results, at = [], 0
        for unit, values in zip(self.units, inputs, strict=True):
            size = len(values) * unit.output_bytes
            assert at + size <= len(raw), f"{unit.id}: {_FAILURES.get(status, f'exit status {status}')}"
            results.append(np.frombuffer(raw, np.uint8, size, at).reshape(len(values), -1))
            at += size
        assert status == 0
        return results

    def arenas(self, number: int, values: NDArray[Any]) -> list[bytes]:
        """All of the arena after each step of one unit on one input."""
        status, raw = self._exchange([_request(number, values[None], every=True)])
        assert status == 0, f"{self.units[number].id}: {_FAILURES.get(status, f'exit status {status}')}"
        size = len(raw) // (max(step for step, _, _ in self.units[number].regions) + 1)
        return [raw[at : at + size] for at in range(0, len(raw), size)]

    def _exchange(self, requests: Iterable[bytes]) -> tuple[int, bytes]:
        """QEMU's exit status, and what the program has written."""
        folder = self.elf.parent
        (folder / "requests.bin").write_bytes(b"".join(requests))
        done = subprocess.run(_command(self.elf), cwd=folder, timeout=_LIMIT_S, check=False)
        return done.returncode, (folder / "outputs.bin").read_bytes()

    def count(self, values: NDArray[Any]) -> dict[str, int]:
        """Instructions of model_invoke of the only unit on one input, by step; what comes before the first is ""."""
        (self.elf.parent / "requests.bin").write_bytes(_request(0, values[None]))
        image = ElfImage(self.elf)
        steps = {symbol.address: name for name, symbol in image.symbols.items() if name.startswith(_STEP)}
        pipe = self.elf.parent / "trace"
        os.mkfifo(pipe)
        log = ["-singlestep", "-d", "exec,nochain", "-D", str(pipe)]
        process = subprocess.Popen([*_command(self.elf), *log], cwd=self.elf.parent)
        try:
            with pipe.open("rb") as trace:
                return _by_step(trace, image.symbol("u0_model_invoke"), image.symbol("unit_run"), steps)
        finally:
            process.kill()
            process.wait()
            pipe.unlink()


def _request(number: int, values: NDArray[Any], *, every: bool = False) -> bytes:
    return struct.pack("<III", number, len(values), every) + np.ascontiguousarray(values).tobytes()


def _command(elf: Path) -> list[str]:
    assert QEMU is not None
    command = [QEMU, "-M", MACHINE, "-display", "none", "-monitor", "none", "-serial", "null"]
    return [*command, "-semihosting-config", "enable=on,target=native", "-kernel", str(elf)]


def _by_step(trace: BinaryIO, invoke: Symbol, caller: Symbol, steps: Mapping[int, str]) -> dict[str, int]:
    """The log from the entry of `invoke` until it is back in `caller`, cut where a function of `steps` begins."""
    counts: Counter[str] = Counter()
    current = None
    for line in trace:
        found = _PLACE.match(line)
        place = int(found[1], 16) if found else 0
        if place == invoke.address:
            current = ""
        elif current is not None and caller.address <= place < caller.address + caller.size_bytes:
            return dict(counts)
        if current is not None and found:
            current = steps.get(place, current)
            counts[current] += 1
    raise AssertionError("model_invoke was not called, or did not return")


def build_qemu(
    units: Sequence[Unit], folder: Path, *, optimize: str = "-O2", toolchain: Toolchain = "zig"
) -> QemuBuild:
    """Compile for the Cortex-M55, as the firmware's Makefile does, and link for QEMU's board."""
    compiler: tuple[str, ...] = (sys.executable, "-m", "ziglang", "cc", "-target", CORE.zig_target)
    compiler += (f"-mcpu={CORE.zig_cpu}", "-fno-sanitize=all")
    if toolchain == "gcc":
        compiler = ("arm-none-eabi-gcc", *CORE.gcc_flags, "-ffreestanding", "-fbuiltin", "-nostartfiles")
    quiet = ("-fomit-frame-pointer", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")
    extra = [resource_dir("firmware_templates") / "memory.c", NATIVE / "qemu_main.c"]
    objects = compile_units((*compiler, *quiet, optimize, "-g1"), units, extra, folder)
    elf = folder / "units_qemu.elf"
    link = ("-T", str(NATIVE / "qemu.ld"), "-Wl,-e,Reset_Handler")
    run_tool([*compiler, *quiet, *map(str, objects), *link, "-o", str(elf)])
    return QemuBuild(units, elf)
