"""Generated C, compiled and run: on the host under sanitizers, or on a bare virtual core.

Hundreds of small models are compiled together: a compiler's start costs more than a small model. Each model's files are
joined into one, with every name that begins with model_ or td_ made distinct by a prefix.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.codegen import generate
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.cores import Core
from tinydeploy.resources import resource_dir
from tinydeploy.tflite import read_model

NATIVE = Path(__file__).with_name("native")
UNITS_PER_FILE = 16
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror")
_FIRST = ("td_fixedpoint.h", "td_dsp.h")
_HEADERS = ("model.h", "model_debug.h", "model_data.h", "td_kernels.h")
_PREFIXED = re.compile(r"\b(?=(?:model|td|MODEL|TD)_)|\b(?=arena\b)")


@dataclass(frozen=True, slots=True)
class Unit:
    """One model's C files and what its harness must know."""

    id: str
    files: Mapping[str, str]
    regions: tuple[tuple[int, int, int], ...]
    input_offset: int | None  # None where the input is streamed
    output_offset: int
    output_bytes: int

    def text(self, number: int) -> str:
        """All files in one, names prefixed with ``u<number>_``."""
        headers = [*_FIRST, *sorted(set(self.headers) - {*_FIRST, *_HEADERS}), *_HEADERS]
        parts = []
        for path in (*(h for h in headers if h in self.files), *sorted(p for p in self.files if p.endswith(".c"))):
            body = re.sub(r'^#include "[^"]*"$', "", self.files[path], flags=re.MULTILINE)
            label = re.sub(r'["\\]', "_", f"{self.id}/{path}")
            parts.append(f'#line 1 "{label}"\n{_PREFIXED.sub(f"u{number}_", body)}')
        return "\n".join([*parts, self._descriptor(number)])

    @property
    def headers(self) -> list[str]:
        return [path for path in self.files if path.endswith(".h")]

    def _descriptor(self, number: int) -> str:
        regions = ", ".join(f"{{{step}, {offset}, {size}}}" for step, offset, size in self.regions) or "{0, 0, 0}"
        u = f"u{number}"
        set_input, stream = "0", ""
        if self.input_offset is None:
            set_input = f"{u}_set_input"
            stream = f"static void {set_input}(const void *input) {{ {u}_model_debug_input(input); }}\n"
        return (
            f"{stream}"
            # Through a pointer that may change: as in firmware, where model_invoke is in another file than its caller.
            f"static void (*volatile {u}_call)(const {u}_model_input_t *, {u}_model_output_t *) = {u}_model_invoke;\n"
            f"static void {u}_invoke(const void *input, void *output) {{ {u}_call(input, output); }}\n"
            f"static const unit_region {u}_regions[] = {{{regions}}};\n"
            f"const unit {u} = {{{u}_invoke, {u}_model_run_step, {set_input}, {u}_model_arena, "
            f"{u}_MODEL_ARENA_BYTES, {u}_MODEL_STEP_COUNT, {self.input_offset or 0}, {u}_MODEL_INPUT_BYTES, "
            f"{self.output_offset}, {u}_MODEL_OUTPUT_BYTES, {u}_regions, {len(self.regions)}}};\n"
        )


def make_unit(identity: str, model: bytes, core: Core | None) -> Unit:
    """Compile a model to C for `core`."""
    return unit_of(compile_graph(read_model(model, identity), core), identity)


def unit_of(program: Program, identity: str) -> Unit:
    """A compiled model as a unit."""
    sources = generate(program)
    output = sources.manifest["output"]
    return Unit(
        identity,
        sources.files,
        tuple(_regions(program)),
        sources.manifest["input"]["offset_bytes"],
        output["offset_bytes"],
        output["size_bytes"],
    )


def _regions(program: Program) -> Iterable[tuple[int, int, int]]:
    """(step, offset, size) of everything a step may touch: its inputs, its output, its scratch."""
    tensors = program.graph.tensors
    for number, step in enumerate(program.steps):
        for tensor in {*step.op.inputs, step.op.output} & program.plan.tensors.keys():
            size, depth = tensors[tensor].size_bytes, tensors[tensor].shape[-1] if tensors[tensor].shape else 1
            # Of a part of a wider tensor, what lies between its pixels too.
            skipped = program.plan.pitches.get(tensor, depth) - depth
            yield number, program.plan.tensors[tensor], size + skipped * (tensors[tensor].elements // depth - 1)
        if step.implementation.scratch_bytes:
            yield number, program.plan.scratch[number], step.implementation.scratch_bytes


def host_compiler() -> tuple[str, ...]:
    """The system's C compiler with both sanitizers, or zig with the one that it brings."""
    found = shutil.which("gcc") or shutil.which("clang")
    if found:
        return (found, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    return (sys.executable, "-m", "ziglang", "cc", "-fsanitize=undefined", "-fno-sanitize-recover=all")


def compile_units(command: Sequence[str], units: Sequence[Unit], extra: Sequence[Path], folder: Path) -> list[Path]:
    """Objects of all units, of the harness and of `extra`, compiled in parallel."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, unit in enumerate(units):
        (folder / f"unit_{number}.inc").write_text(unit.text(number))
    files = []
    for start in range(0, len(units), UNITS_PER_FILE):
        numbers = range(start, min(start + UNITS_PER_FILE, len(units)))
        path = folder / f"units_{start}.c"
        path.write_text('#include "unit.h"\n' + "".join(f'#include "unit_{n}.inc"\n' for n in numbers))
        files.append(path)
    table = folder / "table.c"
    declared = "".join(f"extern const unit u{n};\n" for n in range(len(units)))
    entries = ", ".join(f"&u{n}" for n in range(len(units)))
    table.write_text(
        f'#include "unit.h"\n{declared}const unit *const units[] = {{{entries}}};\n'
        f"const uint32_t unit_count = {len(units)};\n"
    )
    sources = [*files, table, NATIVE / "unit.c", *extra]
    objects = [folder / f"{source.stem}.o" for source in sources]

    def one(source: Path, target: Path) -> None:
        run_tool([*command, *WARNINGS, f"-I{NATIVE}", f"-I{folder}", "-c", str(source), "-o", str(target)])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, sources, objects))
    return objects


def run_tool(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stderr[-4000:]}")


@dataclass(frozen=True, slots=True)
class HostBuild:
    """All units in one sanitized executable."""

    units: Sequence[Unit]
    executable: Path

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[np.uint8]]:
        """Each unit's outputs, (N, output bytes), for its (N, ...) inputs; a sanitizer's finding names the unit."""
        requests = [
            struct.pack("<II", number, len(values)) + np.ascontiguousarray(values).tobytes()
            for number, values in enumerate(inputs)
        ]
        done = subprocess.run([self.executable], input=b"".join(requests), capture_output=True)
        results, at = [], 0
        for unit, values in zip(self.units, inputs, strict=True):
            size = len(values) * unit.output_bytes
            raw = done.stdout[at : at + size]
            if len(raw) < size:
                raise AssertionError(f"{unit.id}: {done.stderr.decode(errors='replace')[:3000]}")
            results.append(np.frombuffer(raw, np.uint8).reshape(len(values), -1))
            at += size
        assert done.returncode == 0, done.stderr.decode(errors="replace")[:3000]
        return results


def build_host(units: Sequence[Unit], folder: Path) -> HostBuild:
    """Compile for this machine with -Werror and sanitizers."""
    compiler = host_compiler()
    objects = compile_units((*compiler, "-O0", "-g1"), units, [NATIVE / "host_main.c"], folder)
    executable = folder / "units"
    run_tool([*compiler, *map(str, objects), "-o", str(executable)])
    return HostBuild(units, executable)


@dataclass(frozen=True, slots=True)
class CoreBuild:
    """All units in one ELF for a bare core."""

    units: Sequence[Unit]
    core: Core
    elf: Path

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[np.uint8]]:
        """As :meth:`HostBuild.run`, on the virtual core; input and output end at guard pages."""
        from tinydeploy.virtual.bare import BareCore  # the virtual board is an extra

        packed = [np.ascontiguousarray(values).tobytes() for values in inputs]
        sizes = [len(values) * unit.output_bytes for unit, values in zip(self.units, inputs, strict=True)]
        bare = BareCore(self.core, self.elf)
        source, target = (_Region(bare, max(map(len_or_int, of))) for of in (packed, sizes))
        results = []
        for number, (unit, values) in enumerate(zip(self.units, inputs, strict=True)):
            at, out = source.last(len(packed[number])), target.last(sizes[number])
            bare.write(at, packed[number])
            try:
                bare.call("unit_run", number, at, len(values), out)
            except Exception as error:
                raise AssertionError(f"{unit.id} on {self.core.name}: {error}") from error
            raw = bare.read(out, sizes[number])
            results.append(np.frombuffer(bytes(raw), np.uint8).reshape(len(values), -1))
        return results


def len_or_int(value: bytes | int) -> int:
    """A length, given as such or as the thing that has it."""
    return value if isinstance(value, int) else len(value)


class _Region:
    """Memory that ends at a guard page, used from its end."""

    def __init__(self, bare: Any, size_bytes: int) -> None:
        size = -(-size_bytes // 16) * 16
        self._end = bare.allocate(size) + size

    def last(self, size_bytes: int) -> int:
        """The address of the last `size_bytes`, word-aligned."""
        return int(self._end - (size_bytes + 3 & ~3))


def build_core(units: Sequence[Unit], core: Core, folder: Path) -> CoreBuild:
    """Compile with zig for `core`, as the firmware's Makefile does, and link without start-up code."""
    zig = (sys.executable, "-m", "ziglang", "cc", "-target", core.zig_target, f"-mcpu={core.zig_cpu}")
    quiet = ("-fno-sanitize=all", "-fomit-frame-pointer", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")
    objects = compile_units(
        (*zig, *quiet, "-O2", "-g1"), units, [resource_dir("firmware_templates") / "memory.c"], folder
    )
    elf = folder / f"units_{core.name}.elf"
    run_tool([*zig, *quiet, *map(str, objects), "-T", str(NATIVE / "core.ld"), "-Wl,-e,unit_run", "-o", str(elf)])
    return CoreBuild(units, core, elf)
