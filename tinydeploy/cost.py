"""What a compiled model will cost on a core, before a C compiler has seen it: instructions, cycles, code bytes.

A kernel's loops are known, so its cost is linear in how often each runs: output pixels, blocks of pixels times
channels, and so on. The factors are measured: ``python -m benchmarks.fit_cost`` runs thousands of kernel calls on the
virtual board and fits them, for every template, and within a template for every variant (padded or not, by stride, by
form of requantization), into ``cost_model.json``. A variant that was never measured takes the nearest one's factors.

Cycles are those of the virtual board's models, which are estimates; see the README's limits. Where a chip's flash and
caches are known (docs/SILICON.md), its cycles are two more factors times the core's cycles and the instructions, and
the cycles that each step waits for its constants (``constants_place``).
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.codegen import generate
from tinydeploy.compiler import Program
from tinydeploy.cores import Core
from tinydeploy.errors import InternalError
from tinydeploy.kernels.base import Implementation, Shape, integer, integers
from tinydeploy.kernels.striped import Stripes
from tinydeploy.vector_terms import vector_terms

DATA = Path(__file__).with_name("cost_model.json")
Terms = Mapping[str, float]

# Pseudo-templates: what a chain adds to its kernels, and what model_invoke adds to its steps.
CHAIN, INVOKE = "chain of stripes", "model_invoke"


@dataclass(frozen=True, slots=True)
class Cost:
    """Instructions and cycles of one call."""

    instructions: float
    cycles: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.instructions + other.instructions, self.cycles + other.cycles)

    def times(self, count: int) -> Cost:
        """The cost of `count` calls."""
        return Cost(self.instructions * count, self.cycles * count)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A program's cost: of each step, and in all with model_invoke; `code_bytes` of all of the model's functions.

    `unmeasured` names kernels that are newer than the cost model: they count as the nearest ones that it knows.
    """

    steps: tuple[Cost, ...]
    instructions: int
    cycles: int
    code_bytes: int
    unmeasured: tuple[str, ...]


def predict(program: Program, core: Core) -> Prediction:
    """The cost of `program` on `core`, by the fitted factors."""
    steps = tuple(step_cost(step.implementation, core) for step in program.steps)
    total = sum(steps, _cost(core, INVOKE, "", invoke_terms(program)))
    files = generate(program).files
    code = sum(code_bytes(path, text, core) for path, text in files.items() if is_code(path))
    known = _fitted(core, "kernels")
    used = {kernel.template for step in program.steps for kernel in step.implementation.kernels}
    unmeasured = tuple(sorted(used - known.keys()))
    return Prediction(steps, round(total.instructions), round(total.cycles), round(code), unmeasured)


def chip_terms(by_rules: Cost) -> dict[str, float]:
    """What the cycles of a chip grow with besides its constants: what its core does by the rules."""
    return {"cycles": by_rules.cycles, "instructions": by_rules.instructions}


def chip_cycles(by_rules: Cost, waiting: float, part: str) -> float:
    """The cycles on a chip, flash and caches in them, of which it spends `waiting` on getting constants; by the core's
    rules where `part` is none that was calibrated."""
    chips: dict[str, dict[str, float]] = _model()["chips"]
    for chip, factors in chips.items():
        if part.startswith(chip):
            counts = chip_terms(by_rules)
            return waiting + float(sum(factor * counts[name] for name, factor in factors.items()))
    return by_rules.cycles


def knows_chip(part: str) -> bool:
    """Whether `chip_cycles` has the chip's flash and caches in them."""
    return any(part.startswith(chip) for chip in _model()["chips"])


def is_code(path: str) -> bool:
    """Whether a generated file holds functions."""
    return path.endswith(".c") and path != "model_data.c"


def code_terms(text: str) -> dict[str, float]:
    """What of a C file's text becomes code: assembly, and statements where there is no assembly beside them."""
    compiled = re.sub(r"(?m)^#else$.*?^#endif$", "", text, flags=re.DOTALL)
    assembly = re.findall(r'(?m)^\s*"[^".][^"]*[^:"]\\n"', compiled)
    statements = re.sub(r'"[^"\n]*"', "", compiled).count(";")
    functions = len(re.findall(r"(?m)^}$", compiled))
    return {"assembly": len(assembly), "statements": statements, "functions": functions}


def code_bytes(path: str, text: str, core: Core) -> float:
    """The machine code of one generated file."""
    factors, counts = _known(_fitted(core, "code"), path), code_terms(text)
    return float(sum(factor * counts[name] for name, factor in factors.items()))


def step_cost(implementation: Implementation, core: Core) -> Cost:
    """One step: a kernel, or a chain of them."""
    made = implementation.stripes
    if made is None:
        return kernel_cost(implementation, core)
    return stripes_cost(made, core) + _cost(core, CHAIN, "", chain_terms(made))


def stripes_cost(made: Stripes, core: Core) -> Cost:
    """The kernel calls of a chain alone."""
    total = Cost(0.0, 0.0)
    for phase in made.phases:
        for call in phase.calls:
            total += kernel_cost(call.kernel, core).times(phase.last - phase.first)
    return total


def kernel_cost(kernel: Implementation, core: Core) -> Cost:
    """One call of one kernel."""
    return _cost(core, kernel.template, variant(kernel), terms(kernel.shape))


def variant(kernel: Implementation) -> str:
    """What of a shape changes the code rather than how often it runs, as text."""
    shape = kernel.shape
    facts: dict[str, object] = {name: value for name, value in shape.items() if isinstance(value, bool)}
    facts |= {name: shape[name] for name in _FORMS if name in shape}
    if _is_portable(shape) and integer(shape, "depth") <= _UNROLLED:
        facts["depth"] = shape["depth"]
    if "kernel_h" in shape and not _is_matrix(shape):
        facts["window"] = f"{shape['kernel_h']}x{shape['kernel_w']}"
        facts["stride"] = f"{shape['stride_h']}x{shape['stride_w']}"
    if "down" in shape:
        facts |= {"rows": shape["rows"], "stride": shape["stride"]}
    if isinstance(run := shape.get("run"), int):
        facts["run"] = run if run == 1 else "many"
    return ",".join(f"{name}={facts[name]}" for name in sorted(facts))


_FORMS = ("requant", "kind", "pairs")
# Channels of a group up to which a compiler for MVE makes of the portable convolution what no line goes through.
_UNROLLED = 6


def terms(shape: Shape) -> dict[str, float]:
    """How often the parts of a kernel of this shape run; a superset of what any one kernel has."""
    if (found := vector_terms(shape)) is not None:
        return found
    if _is_matrix(shape):
        return _matrix_terms(shape)
    if "kernel_h" in shape:
        return _window_terms(shape)
    if "depths" in shape:
        pixels, counts = integer(shape, "pixels"), integers(shape, "counts")
        return {
            "1": 1,
            "pixels": pixels,
            "runs": pixels * len(counts),
            "single": pixels * sum(count == 1 for count in counts),
            "bytes": pixels * sum(counts),
            "words": pixels * sum(count // 4 for count in counts),
        }
    if "taps" in shape or "depth" in shape:
        rows = integer(shape, "rows")
        columns = rows * integer(shape, "out_c")
        depth = integer(shape, "taps") * integer(shape, "depth")
        return {"1": 1, "rows": rows, "outputs": columns, "inputs": rows * depth, "products": columns * depth}
    if "reduced" in shape:
        outer, inner = integer(shape, "outer"), integer(shape, "inner")
        return {"1": 1, "outer": outer, "outputs": outer * inner, "inputs": outer * inner * integer(shape, "reduced")}
    if "parts" in shape:
        outer, parts = integer(shape, "outer"), integers(shape, "parts")
        words = sum(part // 4 for part in parts)
        return {
            "1": 1,
            "copies": outer * len(parts),
            "bytes": outer * sum(parts),
            "words": outer * words,
            "tails": outer * sum(part % 4 for part in parts),
        }
    if "sizes" in shape:
        return _loop_terms(integers(shape, "sizes"), integer(shape, "run"))
    sizes = {name: float(value) for name, value in shape.items() if isinstance(value, int) and name in _COUNTS}
    return {"1": 1, "all": math.prod(sizes.values()), **sizes}


def _is_matrix(shape: Shape) -> bool:
    """Whether a kernel is a convolution that multiplies patches by channels."""
    return "units" in shape or "block_words" in shape or "groups" in shape


def _is_portable(shape: Shape) -> bool:
    """Whether a kernel is the convolution in plain C."""
    return "groups" in shape and "counts" not in shape


_COUNTS = ("elements", "out_bytes", "rows", "columns", "depth")


def _matrix_terms(shape: Shape) -> dict[str, float]:
    """Convolutions as matrix products: patches gathered, then blocks of pixels by channels by words; all of it for each
    group of channels."""
    rows, columns, channels = (integer(shape, name) for name in ("out_h", "out_w", "out_c"))
    # The portable kernel goes through the groups within a pixel.
    groups = integer(shape, "groups") if "counts" in shape else 1
    pixels, kernel_h = rows * columns, integer(shape, "kernel_h")
    depth = integer(shape, "depth") if "depth" in shape else integer(shape, "in_c")
    run = integer(shape, "kernel_w") * depth
    words = math.ceil(kernel_h * run / 4)
    edge = groups * _edge_pixels(shape)
    counts: dict[str, float] = {
        "1": 1,
        "groups": groups,
        "rows": groups * rows,
        "pixels": groups * pixels,
        "edge": edge,
        "edge runs": edge * kernel_h,
        "edge words": edge * words,
        "outputs": pixels * channels,
        "products": pixels * channels * kernel_h * run / 4,
    }
    if "counts" not in shape:
        blocks = math.ceil(pixels / 9)
        return counts | {
            "taps": channels * sum(_inside(shape, "h")) * sum(_inside(shape, "w")),
            "runs": pixels * kernel_h,
            "gathered": pixels * words,
            "tails": pixels * kernel_h * (run % 4),
            "blocks": blocks,
            "block channels": blocks * channels,
            "block words": blocks * channels * words,
        }
    # Blocks of 4, 3, 2 and 1 pixels, in every row.
    units, pairs = integer(shape, "units"), math.ceil(channels / groups / 2)
    for size, blocks_a_row in zip((4, 3, 2, 1), integers(shape, "counts"), strict=True):
        if not blocks_a_row:
            continue
        blocks_in_all = groups * blocks_a_row * (1 if shape["pointwise"] else rows)
        taps, gathered = (len(integers(shape, f"{name}{size}")) for name in ("slots", "columns"))
        counts |= {
            f"blocks of {size}": blocks_in_all,
            f"channels of {size}": blocks_in_all * pairs,
            f"words of {size}": blocks_in_all * pairs * units * taps,
            f"loops of {size}": blocks_in_all * pairs * (units // integer(shape, "unroll_units")),
            f"columns of {size}": blocks_in_all * gathered,
            f"gathered by {size}": blocks_in_all * gathered * units,
            f"runs of {size}": blocks_in_all * gathered * kernel_h,
        }
    return counts


def _window_terms(shape: Shape) -> dict[str, float]:
    """Windows channel by channel: depthwise convolutions and pools. What lies outside the input is counted apart."""
    rows, columns, channels = (integer(shape, name) for name in ("out_h", "out_w", "out_c"))
    taps = integer(shape, "kernel_h") * integer(shape, "kernel_w")
    heights, widths = _inside(shape, "h"), _inside(shape, "w")
    positions = sum(heights) * sum(widths)
    inner_rows = rows - int(bool(shape.get("top"))) - int(bool(shape.get("bottom")))
    return {
        "1": 1,
        "rows": rows,
        "pixels": rows * columns,
        "positions": positions,
        "vectors": math.ceil(channels / 8) * positions,
        "channels": channels,
        "channel rows": channels * rows,
        "inner rows": channels * inner_rows,
        "outputs": channels * rows * columns,
        "inner outputs": channels * inner_rows * columns,
        "window rows": channels * sum(heights) * columns,
        "products": channels * positions,
        "products outside": channels * (rows * columns * taps - positions),
        "inputs read": channels * rows * integer(shape, "in_w"),
        "inner inputs": channels * inner_rows * integer(shape, "in_w"),
        "edge": channels * _edge_pixels(shape),
    }


def _loop_terms(sizes: Sequence[int], run: int) -> dict[str, float]:
    """Nested loops over `sizes`, a run of bytes copied in the innermost."""
    counts = [math.prod(sizes[: depth + 1]) for depth in range(len(sizes))] or [1]
    inner = counts[-1]
    return {
        "1": 1,
        "inner": inner,
        "bytes": inner * run,
        "words": inner * (run // 4),
        "tails": inner * (run % 4),
        "outer": sum(counts[:-1]),
        "outermost": counts[0],
    }


def chain_terms(made: Stripes) -> Terms:
    """What a chain adds: its stripes, calls, and what slides between them."""
    stripes, calls, slides, moved = made.count, 0, 0, 0
    for phase in made.phases:
        times = phase.last - phase.first
        calls += times * len(phase.calls)
        slides += times * len(phase.slides)
        moved += times * sum(slide.size_bytes for slide in phase.slides)
    return {"1": 1, "stripes": stripes, "calls": calls, "slides": slides, "moved": moved}


def invoke_terms(program: Program) -> Terms:
    """What model_invoke adds to its steps; input and output stand in the arena, as in the firmware."""
    return {"1": 1, "steps": len(program.steps)}


def _edge_pixels(shape: Shape) -> float:
    """Output pixels whose window leaves the input."""
    if not shape.get("padded"):
        return 0.0
    whole = 1.0
    for side in ("h", "w"):
        whole *= sum(inside == integer(shape, f"kernel_{side}") for inside in _inside(shape, side))
    return integer(shape, "out_h") * integer(shape, "out_w") - whole


def _inside(shape: Shape, side: str) -> list[int]:
    """For each output row ("h") or column ("w"), how many of its window's lie inside the input."""
    out, stride, pad, kernel, size = (
        integer(shape, f"{name}_{side}") for name in ("out", "stride", "pad", "kernel", "in")
    )
    starts = [at * stride - pad for at in range(out)]
    return [min(start + kernel, size) - max(start, 0) for start in starts]


@functools.cache
def _model() -> dict[str, Any]:
    model: dict[str, Any] = json.loads(DATA.read_text())
    return model


def firmware_overhead(board: str) -> tuple[int, int]:
    """Bytes of flash and RAM that a board's firmware takes besides the model: clock, UART, link, and the stack's
    reserve; the most that any known board takes, for one that was not measured."""
    known: dict[str, list[int]] = _model()["firmware"]
    flash, ram = known.get(board) or [max(of) for of in zip(*known.values(), strict=True)]
    return flash, ram


def _fitted(core: Core, part: str) -> dict[str, Any]:
    model = _model()
    if core.name not in model:
        raise InternalError(f"no cost was ever measured on {core.title}; run python -m benchmarks.fit_cost")
    found: dict[str, Any] = model[core.name][part]
    return found


def _known(fitted: dict[str, Any], name: str) -> dict[str, Any]:
    """The entry of `name`, or of the name most like it."""
    if name not in fitted:
        name = max(fitted, key=lambda other: difflib.SequenceMatcher(None, name, other).ratio())
    found: dict[str, Any] = fitted[name]
    return found


def _cost(core: Core, template: str, form: str, counts: Terms) -> Cost:
    """Factors times counts; those of the nearest form where this one was not measured."""
    forms = _known(_fitted(core, "kernels"), template)
    factors = forms[form if form in forms else _nearest(form, tuple(forms))]
    # Of a core whose cycles nothing here can count they are taken for one an instruction.
    instructions, cycles = (
        sum(factor * counts.get(name, 0.0) for name, factor in factors.get(what, factors["instructions"]).items())
        for what in ("instructions", "cycles")
    )
    return Cost(instructions, cycles)


def _nearest(form: str, known: tuple[str, ...]) -> str:
    """The known form with the most facts in common, of several one with the fewest others."""
    facts = set(form.split(","))

    def likeness(other: str) -> tuple[int, int]:
        found = set(other.split(","))
        return len(facts & found), -len(found - facts)

    return max(known, key=likeness)
