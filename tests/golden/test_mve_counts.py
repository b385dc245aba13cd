"""Instructions of the reference models on QEMU's Cortex-M55: whatever makes an MVE kernel slower shows in a diff.

As in test_instruction_counts, a change either way fails by more than 1 in 1,000; the compiler is pinned and QEMU counts
the same every time. Models that lose constant channels are counted with them too. The cost model is held against all
of them, and against networks of the zoo.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.compiled import unit_of
from support.counting import random_input
from support.net import Net
from support.qemu_units import CORE, build_qemu, needs_qemu

from tinydeploy import zoo
from tinydeploy.compiler import compile_graph
from tinydeploy.cost import predict
from tinydeploy.tflite import read_model
from tinydeploy.untrained import untrained_graph
from tinydeploy.zoo import ModelSpec

TOLERANCE = 0.001
COST_TOLERANCE = 0.10  # of the cost model
EXPECTED = Path(__file__).parent / "expected" / "counts_m55.txt"


@needs_qemu
def test_no_reference_model_has_become_slower(
    shared_models: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    counted, predicted = {}, {}
    for path in shared_models:
        graph = read_model(path.read_bytes(), path.stem)
        programs = {path.stem: compile_graph(graph, CORE)}
        kept = compile_graph(graph, CORE, keep_constant_channels=True)
        if kept.graph.macs != programs[path.stem].graph.macs:
            programs[f"{path.stem}_kept"] = kept
        for name, program in programs.items():
            build = build_qemu([unit_of(program, name)], tmp_path / name, optimize="-O3")
            counted[name] = sum(build.count(random_input(program)).values())
            predicted[name] = predict(program, CORE).instructions
    assert predicted == pytest.approx(counted, rel=COST_TOLERANCE), "python -m benchmarks.fit_cost --cores m55"
    if request.config.getoption("--update-golden"):
        EXPECTED.write_text("".join(f"{count:>13,}  {name}\n" for name, count in counted.items()))
    lines = (line.split() for line in EXPECTED.read_text().splitlines())
    expected = {name: int(count.replace(",", "")) for count, name in lines}
    assert counted == pytest.approx(expected, rel=TOLERANCE), "pytest tests/golden --update-golden writes them anew"


@needs_qemu
@pytest.mark.parametrize(
    "spec",
    [ModelSpec("shufflenet_v2", 0.25, 48, 3, 10), ModelSpec("resnext", 0.5, 16, 3, 10)],
    ids=lambda spec: spec.name,
)
def test_networks_of_the_zoo_cost_what_was_predicted(spec: ModelSpec, tmp_path: Path) -> None:
    """Splits, concatenations and pools, and grouped convolutions, which the reference models have not."""
    program = compile_graph(untrained_graph(zoo.describe(spec), spec.name), CORE, keep_constant_channels=True)
    build = build_qemu([unit_of(program, spec.name)], tmp_path, optimize="-O3")
    predicted = predict(program, CORE)
    assert predicted.unmeasured == ()
    assert predicted.instructions == pytest.approx(sum(build.count(random_input(program)).values()), rel=COST_TOLERANCE)


@needs_qemu
def test_a_model_of_a_few_calls_is_counted(tmp_path: Path) -> None:
    """Its model_invoke is so short that compilers would put it where it is called."""
    net = Net(2)
    x = net.fully_connected(net.input((1, 48)), 24)
    program = compile_graph(read_model(net.done(net.fully_connected(x, 16)), "dense"), CORE)
    counted = build_qemu([unit_of(program, "dense")], tmp_path, optimize="-O3").count(random_input(program))
    assert set(counted) == {"", "u0_model_step_00_fully_connected", "u0_model_step_01_fully_connected"}
    assert all(count > 0 for count in counted.values())
