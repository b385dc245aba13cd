"""Instructions of the reference models on QEMU's Cortex-M55: whatever makes an MVE kernel slower shows in a diff.

As in test_instruction_counts, a change either way fails by more than 1 in 1,000; the compiler is pinned and QEMU counts
the same every time. Models that lose constant channels are counted with them too.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.compiled import unit_of
from support.counting import random_input
from support.qemu_units import CORE, build_qemu, needs_qemu

from tinydeploy.compiler import compile_graph
from tinydeploy.tflite import read_model

TOLERANCE = 0.001
EXPECTED = Path(__file__).parent / "expected" / "counts_m55.txt"


@needs_qemu
def test_no_reference_model_has_become_slower(
    shared_models: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    counted = {}
    for path in shared_models:
        graph = read_model(path.read_bytes(), path.stem)
        programs = {path.stem: compile_graph(graph, CORE)}
        kept = compile_graph(graph, CORE, keep_constant_channels=True)
        if kept.graph.macs != programs[path.stem].graph.macs:
            programs[f"{path.stem}_kept"] = kept
        for name, program in programs.items():
            build = build_qemu([unit_of(program, name)], tmp_path / name, optimize="-O3")
            counted[name] = sum(build.count(random_input(program)).values())
    if request.config.getoption("--update-golden"):
        EXPECTED.write_text("".join(f"{count:>13,}  {name}\n" for name, count in counted.items()))
    lines = (line.split() for line in EXPECTED.read_text().splitlines())
    expected = {name: int(count.replace(",", "")) for count, name in lines}
    assert counted == pytest.approx(expected, rel=TOLERANCE), "pytest tests/golden --update-golden writes them anew"
