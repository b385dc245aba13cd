"""Exact instruction counts and cycle estimates, step by step, so that whatever makes a kernel slower shows in a diff.

A count that has risen by more than `TOLERANCE` fails, and so does one that has fallen: the file is to hold what is
true, or the next slow-down would hide in the last speed-up. The compiler is pinned, so the counts are the same on every
machine.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.counting import Count, count_model
from support.speed_models import SPEED_MODELS

from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES, VIRTUAL_CORES
from tinydeploy.cost import predict
from tinydeploy.tflite import read_model

TOLERANCE = 0.001
PREDICTED = 0.1  # as exact as tests/virtual asks of the cost model
# Not "audio": of its kernels, some are none that the zoo's networks need, and the cost model does not know them.
PREDICTABLE = ("mobilenet", "resnet", "autoencoder")
EXPECTED = Path(__file__).parent / "expected"
HEADER = f"{'instructions':>13}{'cycles':>13}  core    model and step\n"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("unicorn") is None, reason="needs unicorn: pip install 'tinydeploy[virtual]'"
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Exact instructions, estimated cycles."""

    instructions: int
    cycles: int


Costs = Mapping[str, Cost]


def count(data: bytes, name: str, folder: Path, *, steps: bool) -> dict[str, Cost]:
    """The costs of a model on every core: in all, and of each step."""
    found: dict[str, Cost] = {}
    for core in map(CORES.__getitem__, VIRTUAL_CORES):
        program = compile_graph(read_model(data, name), core)
        counted: Count = count_model(program, core, folder / core.name, steps=steps)
        found[f"{core.name:<8}{name}"] = Cost(counted.instructions, counted.cycles)
        found |= {f"{core.name:<8}{name} {step.label}": Cost(step.instructions, step.cycles) for step in counted.steps}
    return found


def as_text(costs: Costs) -> str:
    lines = (f"{cost.instructions:>13,}{cost.cycles:>13,}  {label}\n" for label, cost in costs.items())
    return HEADER + "".join(lines)


def from_text(text: str) -> dict[str, Cost]:
    found = {}
    for line in text.splitlines()[1:]:
        instructions, cycles, label = line.split(None, 2)
        found[label] = Cost(int(instructions.replace(",", "")), int(cycles.replace(",", "")))
    return found


def changes(expected: Costs, counted: Costs) -> tuple[list[str], list[str]]:
    """What has become slower or is not known yet, and what has become faster, as sentences."""
    worse: list[str] = []
    better: list[str] = []
    for label, now in counted.items():
        before = expected.get(label)
        if before is None:
            worse.append(f"{label}: new")
            continue
        for what in ("instructions", "cycles"):
            old, new = getattr(before, what), getattr(now, what)
            if abs(new - old) > TOLERANCE * old:
                sentence = f"{label}: {what} {old:,} -> {new:,} ({100 * (new / old - 1):+.1f} %)"
                (worse if new > old else better).append(sentence)
    worse += [f"{label}: gone" for label in expected if label not in counted]
    return worse, better


def hold(name: str, counted: Costs, *, update: bool) -> None:
    """Compare with the file `name`, or write it."""
    path = EXPECTED / name
    if update:
        path.write_text(as_text(counted))
        return
    worse, better = changes(from_text(path.read_text()) if path.is_file() else {}, counted)
    how = "pytest tests/golden --update-golden writes the counts anew, and their diff belongs in the commit"
    assert not worse, "\n".join(["slower, or another set of steps; if it is meant,", how, *worse, *better])
    assert not better, "\n".join(["faster: keep it that way,", how, *better])


def test_no_kernel_has_become_slower(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    counted: dict[str, Cost] = {}
    for name, made in SPEED_MODELS.items():
        counted |= count(made(), name, tmp_path / name, steps=True)
    hold("counts.txt", counted, update=request.config.getoption("--update-golden"))


def test_no_reference_model_has_become_slower(
    shared_models: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    counted: dict[str, Cost] = {}
    for path in shared_models:
        counted |= count(path.read_bytes(), path.stem, tmp_path / path.stem, steps=False)
    hold("counts_reference.txt", counted, update=request.config.getoption("--update-golden"))


@pytest.mark.parametrize("core_name", VIRTUAL_CORES)
@pytest.mark.parametrize("name", PREDICTABLE)
def test_the_cost_model_knows_these_kernels(name: str, core_name: str) -> None:
    """Counts written anew after a kernel has changed show that the cost model must follow."""
    counted = from_text((EXPECTED / "counts.txt").read_text())[f"{core_name:<8}{name}"]
    core = CORES[core_name]
    predicted = predict(compile_graph(read_model(SPEED_MODELS[name](), name), core), core)
    how = "the cost model was fitted on other kernels; run python -m benchmarks.fit_cost"
    assert predicted.instructions == pytest.approx(counted.instructions, rel=PREDICTED), how
    assert predicted.cycles == pytest.approx(counted.cycles, rel=PREDICTED), how


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"a": Cost(1000, 2000)}, ([], [])),
        ({"a": Cost(1001, 1998)}, ([], [])),
        ({"a": Cost(1002, 2000)}, (["a: instructions 1,000 -> 1,002 (+0.2 %)"], [])),
        ({"a": Cost(900, 2100)}, (["a: cycles 2,000 -> 2,100 (+5.0 %)"], ["a: instructions 1,000 -> 900 (-10.0 %)"])),
        ({"a": Cost(1000, 2000), "b": Cost(1, 1)}, (["b: new"], [])),
        ({}, (["a: gone"], [])),
    ],
)
def test_what_counts_as_a_change(now: Costs, said: tuple[list[str], list[str]]) -> None:
    assert changes({"a": Cost(1000, 2000)}, now) == said


def test_the_file_holds_what_was_counted() -> None:
    costs = {"m4      net": Cost(1_234_567, 12_345_678), "m4      net 00 CONV_2D 1x2x2x3 -> 1x1x1x4": Cost(1, 2)}
    assert from_text(as_text(costs)) == costs
