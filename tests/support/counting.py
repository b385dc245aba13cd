"""Exact instruction counts of model_invoke on a bare virtual core: what the firmware runs, without a board around it.

The generated files are compiled with the flags of the firmware's Makefile, each as a file of its own, so the counts are
those that `tinydeploy bench` finds for a board of that core.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.boards import Board
from tinydeploy.codegen import generate
from tinydeploy.compiler import Program
from tinydeploy.cores import Core
from tinydeploy.graph import NUMPY_DTYPES
from tinydeploy.resources import resource_dir

if TYPE_CHECKING:
    from tinydeploy.virtual.bare import BareCore

_LINKER_SCRIPT = Path(__file__).with_name("native") / "core.ld"
_FLAGS: tuple[str, ...] = ("-std=c11", "-fomit-frame-pointer", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")
_FLAGS += ("-ffunction-sections", "-fdata-sections", "-fno-sanitize=all")


@dataclass(frozen=True, slots=True)
class StepCount:
    """One step: its number, operator and shapes, exact instructions, estimated cycles."""

    label: str
    instructions: int
    cycles: int


@dataclass(frozen=True, slots=True)
class Count:
    """One call of model_invoke on a random `input`: exact instructions, estimated cycles, and the output's bytes; of
    the steps, where asked for, each called alone."""

    instructions: int
    cycles: int
    input: NDArray[Any]
    output: bytes
    steps: tuple[StepCount, ...] = ()


def build_model(program: Program, core: Core, folder: Path) -> Path:
    """An ELF of `program` for a bare `core`; `folder` is made. Raises AssertionError with the compiler's words."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in generate(program).files.items():
        (folder / name).write_text(text)
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", core.zig_target, f"-mcpu={core.zig_cpu}", *_FLAGS]
    memory, elf = folder / "memory.o", folder / "model.elf"
    _run([*zig, "-Os", "-c", str(resource_dir("firmware_templates") / "memory.c"), "-o", str(memory)])
    sources = [str(path) for path in sorted(folder.glob("*.c"))]
    kept = ["-Wl,-e,model_invoke", "-Wl,-u,model_input", "-Wl,-u,model_output", "-Wl,--gc-sections"]
    _run([*zig, "-O3", *sources, str(memory), "-T", str(_LINKER_SCRIPT), *kept, "-o", str(elf)])
    return elf


def count_model(
    program: Program, core: Core, folder: Path, *, steps: bool = False, board: Board | None = None
) -> Count:
    """Build `program` and call its model_invoke on the input of seed 0, in its place in the arena as the firmware does;
    with `steps`, then each step. Cycles are by the core's rules, or by what is known of a `board`'s chip."""
    return count_built(program, core, build_model(program, core, folder), steps=steps, board=board)


def count_built(program: Program, core: Core, elf: Path, *, steps: bool = False, board: Board | None = None) -> Count:
    """:func:`count_model` of what `build_model` has built."""
    graph = program.graph
    bare = bare_core(core, elf, board)
    values = random_input(program)
    source, target = bare.call("model_input").value, bare.call("model_output").value
    bare.write(source, values.tobytes())
    result = bare.call("model_invoke", source, target)
    output = bare.read(target, graph.tensors[graph.output].size_bytes)
    counted = []
    for number, step in enumerate(generate(program).manifest["steps"] if steps else ()):
        alone = bare.call(step["symbol"])
        shapes = (
            graph.tensors[t].shape[1:] for t in (program.steps[number].op.inputs[0], program.steps[number].op.output)
        )
        text = " -> ".join("x".join(map(str, shape)) for shape in shapes)
        counted.append(StepCount(f"{number:02d} {step['op']} {text}", alone.instructions, alone.cycles))
    return Count(result.instructions, result.cycles, values, output, tuple(counted))


def bare_core(core: Core, elf: Path, board: Board | None) -> BareCore:
    """A bare core, where a calibrated `board` is given with its chip's cycles and the caches before its flash."""
    from tinydeploy.virtual.bare import BareCore  # the virtual board is an extra

    if board is None:
        return BareCore(core, elf)
    from tinydeploy.virtual.models.silicon import SiliconModel
    from tinydeploy.virtual.silicon_file import silicon_of
    from tinydeploy.virtual.wiring import setup_for

    silicon = silicon_of(board.part)
    assert silicon is not None, f"{board.part} is not calibrated"
    bare = BareCore(core, elf, model=SiliconModel(silicon))
    bare.put_caches(silicon, setup_for(board).chip)
    return bare


def random_input(program: Program) -> NDArray[Any]:
    """The input that is counted: every value of its type alike; floats of a standard normal distribution."""
    tensor = program.graph.tensors[program.graph.input]
    rng = np.random.default_rng(0)
    dtype = np.dtype(NUMPY_DTYPES[tensor.dtype])
    if dtype.kind == "f":
        return rng.normal(size=tensor.shape).astype(dtype)
    limits = np.iinfo(str(dtype))
    return rng.integers(limits.min, limits.max + 1, tensor.shape, dtype)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-4000:]}"
