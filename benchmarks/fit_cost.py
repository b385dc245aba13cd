"""Fits the factors of the cost model: measures networks on the virtual board, kernel by kernel, and solves for them.

    python -m benchmarks.fit_cost [--jobs 2] [--cores m4 m7]

Networks of the zoo at odd widths and sizes, with random weights, are compiled and run on a bare core; every step is
counted. For each kernel template, and each of its variants with enough measurements, non-negative factors minimize the
relative errors. The result is tinydeploy/cost_model.json; measurements are kept in --out and not repeated while a
network's generated C and the core's cycle rules stay as they are. Run it again after a kernel has changed: tests/golden
holds the predictions for the counted models against their counts, so a stale fit fails there.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.counting import build_model, count_built, random_input  # noqa: E402  (needs the path above)
from support.net import Net  # noqa: E402

from benchmarks.cost_networks import DENSE, graph_of, networks  # noqa: E402
from tinydeploy import cost, stamp  # noqa: E402
from tinydeploy.boards import Board, list_boards  # noqa: E402
from tinydeploy.build import Request, build  # noqa: E402
from tinydeploy.codegen import Sources, generate  # noqa: E402
from tinydeploy.compiler import Program, compile_graph  # noqa: E402
from tinydeploy.constants_place import waiting_cycles  # noqa: E402
from tinydeploy.cores import CORES, VIRTUAL_CORES  # noqa: E402

# Below this many measurements a variant takes another's factors.
LEAST = 4
# Cores that run another's kernels by another's cycle rules take its factors; the tests hold them against counts.
LIKE = {"m33": "m4"}
ON_QEMU = ("m55",) if shutil.which("qemu-system-arm") else ()
MEASURED = (*(core for core in VIRTUAL_CORES if core not in LIKE), *ON_QEMU)
# A file or more for each core.
CYCLE_RULES = ROOT / "tinydeploy" / "virtual" / "models"
# Every so many of the zoo's networks are run on calibrated chips: two factors need no more.
CHIP_STEP = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """One kernel, or what stands around kernels: its terms, and what was counted."""

    template: str
    variant: str
    terms: dict[str, float]
    instructions: float
    cycles: float


@dataclass(frozen=True, slots=True)
class CodeSample:
    """One generated file: its terms and the bytes of its functions."""

    path: str
    terms: dict[str, float]
    code_bytes: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All that one network on one core tells."""

    kernels: list[Sample]
    files: list[CodeSample]


@functools.lru_cache(maxsize=1)
def _kernels(name: str, dsp: bool, mve: bool) -> Program:
    """A network with the kernels of a core that has these extensions."""
    core = next(core for core in CORES.values() if (core.dsp, core.mve) == (dsp, mve))
    return compile_graph(graph_of(name), core, keep_constant_channels=True)


def compiled(core_name: str, name: str) -> tuple[Program, Sources]:
    """A network as it runs on a core, and its generated C."""
    core = CORES[core_name]
    program = replace(_kernels(name, core.dsp, core.mve), core=core)
    return program, generate(program)


@dataclass(frozen=True, slots=True)
class Counted:
    """Instructions and cycles of each step, and of model_invoke around them; bytes of every symbol."""

    steps: list[tuple[float, float]]
    around: tuple[float, float]
    sizes: dict[str, int]


def count(program: Program, sources: Sources, folder: Path) -> Counted:
    """A network's kernels on its bare core."""
    assert program.core is not None
    return (_on_virtual_core if program.core.virtual else _on_qemu)(program, sources, folder)


def samples_of(program: Program, sources: Sources, counted: Counted) -> Measured:
    """Every kernel of a network, what model_invoke adds, and every file's functions, each with its terms."""
    samples, seen = [], set()
    for step, alone in zip(program.steps, counted.steps, strict=True):
        kernel = step.implementation
        if kernel.key not in seen:
            seen.add(kernel.key)
            samples.append(Sample(kernel.template, cost.variant(kernel), cost.terms(kernel.shape), *alone))
    samples.append(Sample(cost.INVOKE, "", dict(cost.invoke_terms(program)), *counted.around))
    files = [
        CodeSample(path, cost.code_terms(text), sum(counted.sizes.get(word, 0) for word in defined(text)))
        for path, text in sources.files.items()
        if cost.is_code(path)
    ]
    return Measured(samples, files)


def _on_virtual_core(program: Program, sources: Sources, folder: Path) -> Counted:
    from tinydeploy.virtual.bare import BareCore

    assert program.core is not None
    elf = build_model(program, program.core, folder)
    bare = BareCore(program.core, elf)
    source, target = bare.call("model_input").value, bare.call("model_output").value
    bare.write(source, random_input(program).tobytes())
    whole = bare.call("model_invoke", source, target)
    calls = [bare.call(entry["symbol"]) for entry in sources.manifest["steps"]]
    steps = [(float(call.instructions), float(call.cycles)) for call in calls]
    instructions, cycles = (sum(one[at] for one in steps) for at in range(2))
    return Counted(steps, (whole.instructions - instructions, whole.cycles - cycles), symbol_sizes(elf))


def _on_qemu(program: Program, sources: Sources, folder: Path) -> Counted:
    """Of the Cortex-M55, which the virtual board has not, instructions alone."""
    from support.compiled import unit_of
    from support.qemu_units import build_qemu

    built = build_qemu([unit_of(program, folder.name)], folder, optimize="-O3")
    counts = built.count(random_input(program))
    steps = [(float(counts[f"u0_{entry['symbol']}"]), 0.0) for entry in sources.manifest["steps"]]
    sizes = {name.removeprefix("u0_"): size for name, size in symbol_sizes(built.elf).items()}
    return Counted(steps, (float(counts[""]), 0.0), sizes)


def symbol_sizes(elf: Path) -> dict[str, int]:
    """Bytes of every symbol by name."""
    from tinydeploy.image import read_image

    return {symbol.name: symbol.size_bytes for symbol in read_image(elf).symbols}


def defined(text: str) -> set[str]:
    """The functions that a C file defines."""
    plain = re.sub(r"__attribute__\(\([^)]*\)\) ", "", text)
    return set(re.findall(r"(?m)^[a-z_].*?\b(\w+)\([^;]*?\) \{$", plain, flags=re.DOTALL))


def fit(terms: Sequence[dict[str, float]], results: Sequence[float]) -> dict[str, float]:
    """Non-negative factors of the terms that occur, for the least errors: relative ones, a little more weight on what
    costs more."""
    names = sorted({name for counts in terms for name, count in counts.items() if count})
    wanted = np.maximum(np.array(results, float), 1.0)
    weights = wanted**-0.9
    counts = np.array([[row.get(name, 0.0) for name in names] for row in terms]) * weights[:, None]
    # Columns of one size, or the solver would stop at its own rounding.
    scale = np.maximum(np.abs(counts).max(axis=0), 1e-12)
    factors: NDArray[np.float64] = nnls(counts / scale, wanted * weights, maxiter=5000)[0] / scale
    return {name: float(f"{factor:.6g}") for name, factor in zip(names, factors, strict=True) if factor > 0}


def fit_all(measured: Sequence[Measured]) -> dict[str, dict[str, Any]]:
    """Factors of kernels by template, variant and measure, and of code by file. Variants with too few measurements of
    their own are left out; a template that has no other keeps one of all its measurements."""
    groups: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    files: dict[str, list[CodeSample]] = defaultdict(list)
    for one in measured:
        for sample in one.kernels:
            groups[sample.template][sample.variant].append(sample)
        for file in one.files:
            files[file.path].append(file)
    kernels = {}
    for template, forms in sorted(groups.items()):
        enough = {form: group for form, group in sorted(forms.items()) if len(group) >= LEAST}
        chosen = enough or {"": [sample for group in forms.values() for sample in group]}
        kernels[template] = {
            form: {
                what: fit([s.terms for s in group], [getattr(s, what) for s in group])
                for what in ("instructions", "cycles")
                if any(getattr(s, what) for s in group)
            }
            for form, group in chosen.items()
        }
    code = {path: fit([f.terms for f in group], [f.code_bytes for f in group]) for path, group in files.items()}
    return {"kernels": kernels, "code": code}


def _borrowed(known: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Instructions of kernels that a core with MVE shares with the M4, form by form, for what was not measured on it:
    those for the DSP extension, of which few networks leave it any but grouped ones, and templates that none ran."""
    return {
        template: {form: {"instructions": factors["instructions"]} for form, factors in forms.items()}
        | own.get(template, {})
        for template, forms in known.items()
        if template.endswith("_dsp") or template not in own
    }


def _measured(task: tuple[str, str, str]) -> tuple[str, Measured]:
    core, name, out = task
    kept = Path(out) / f"{core}-{name}.json"
    program, sources = compiled(core, name)
    rules = map(stamp.file_state, sorted(CYCLE_RULES.glob(f"{core}*.py")))
    key = stamp.digest(CORES[core], sources.manifest["fingerprint"], *rules)
    if kept.exists() and (stored := json.loads(kept.read_text()))["key"] == key:
        counted = Counted(stored["steps"], stored["around"], stored["sizes"])
    else:
        counted = count(program, sources, Path(out) / f"{core}-{name}")
        kept.write_text(json.dumps({"key": key, **asdict(counted)}))
    return core, samples_of(program, sources, counted)


def calibrated() -> dict[str, Board]:
    """A board for each chip whose cycles were fitted to published figures, by the chip's name."""
    from tinydeploy.virtual.silicon_file import silicon_of

    found = {}
    for board in list_boards():
        if (silicon := silicon_of(board.part)) is not None:
            found.setdefault(silicon.chip, board)
    return found


def chip_factors(board: Board, out: Path) -> dict[str, float]:
    """What a calibrated chip's cycles are made of, but for waiting for constants in its flash: cycles and instructions
    by the core's rules, of networks of the zoo."""
    counts, results = [], []
    for name in [name for name in networks() if not name.startswith(("odd", "pools", "grouped"))][::CHIP_STEP]:
        program, _ = compiled(board.core.name, name)
        elf = build_model(program, board.core, out / f"chip-{board.core.name}-{name}")
        plain, shipped = (count_built(program, board.core, elf, board=chip) for chip in (None, board))
        counts.append(cost.chip_terms(cost.Cost(plain.instructions, plain.cycles)))
        results.append(shipped.cycles - sum(waiting_cycles(s.implementation, board.part) for s in program.steps))
    return fit(counts, results)


def firmware(folder: Path) -> dict[str, list[int]]:
    """Flash and RAM of each board's firmware besides a model: measured with a tiny one."""
    net = Net()
    source = net.input((1, 4, 4, 1))
    model = folder / "tiny.tflite"
    model.write_bytes(net.done(net.conv(source, 2)))
    found = {}
    for board in list_boards():
        built = build(Request(board.name, model=model, out=folder / f"firmware-{board.name}"))
        output_bytes = int(built.manifest["output"]["size_bytes"])
        image = built.image
        found[board.name] = [
            image.flash_bytes - image.model_flash_bytes,
            image.ram_bytes - image.model_ram_bytes - output_bytes,
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fit_cost")
    parser.add_argument("--cores", nargs="+", default=MEASURED, choices=MEASURED)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    # Cores of the same kernels one after the other, so that a network is compiled for both at once.
    tasks = [(core, name, str(options.out)) for name in (*networks(), *DENSE) for core in options.cores]
    model = json.loads(cost.DATA.read_text()) if cost.DATA.exists() else {}
    by_core: dict[str, list[Measured]] = defaultdict(list)
    with ProcessPoolExecutor(options.jobs) as pool:
        for core, measured in pool.map(_measured, tasks):
            by_core[core].append(measured)
            print(f"{core}: {sum(len(one.kernels) for one in by_core[core])} kernels measured", flush=True)
    for core, all_of_it in by_core.items():
        model[core] = fit_all(all_of_it)
    model |= {core: model[other] for core, other in LIKE.items()}
    for core in set(options.cores) & set(ON_QEMU):
        model[core]["kernels"] |= _borrowed(model["m4"]["kernels"], model[core]["kernels"])
    if not set(options.cores) - set(ON_QEMU):
        cost.DATA.write_text(json.dumps(model, indent=1, sort_keys=True) + "\n")
        return
    model["chips"] = {chip: chip_factors(board, options.out) for chip, board in calibrated().items()}
    model["firmware"] = firmware(options.out)
    cost.DATA.write_text(json.dumps(model, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
