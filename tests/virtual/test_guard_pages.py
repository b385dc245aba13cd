"""No kernel reads or writes beyond a buffer of its own: the operators' cases, one kernel at a time.

Each core gets a seeded share of every operator's cases; ``pytest --all-cores`` runs all of them on every core.
"""

from __future__ import annotations

import importlib.util
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.cases import TABLES, Case
from support.guarded import Edge, Guarded, guarded, run_guarded
from support.net import Net

from tinydeploy.cores import CORES, VIRTUAL_CORES
from tinydeploy.kernels.base import Implementation

SHARE = 10  # one case in so many, on each core and against each edge
ALTERNATING, RANDOM = 2, -1  # rows of Case.inputs()

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("unicorn") is None, reason="needs unicorn: pip install 'tinydeploy[virtual]'"
)


def share(core: str, against: str) -> list[Case]:
    """The cases of this core and edge: others for each, at least one of every operator."""
    chosen = []
    for cases in TABLES.values():
        ranked = sorted(cases, key=lambda case: zlib.crc32(f"{core} {against} {case.id}".encode()))
        chosen += ranked[: -(-len(ranked) // SHARE)]
    return chosen


@pytest.mark.parametrize(("against", "row"), [("end", ALTERNATING), ("start", RANDOM)])
@pytest.mark.parametrize("core", VIRTUAL_CORES)
def test_kernels_stay_inside_their_buffers(
    core: str, against: Edge, row: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    every = request.config.getoption("--all-cores")
    cases = [case for table in TABLES.values() for case in table] if every else share(core, against)
    models = [guarded(case.id, case.model(), CORES[core], case.inputs()[row]) for case in cases]
    wrong = run_guarded(models, CORES[core], tmp_path, against)
    assert not wrong, "\n".join(wrong)


def with_kernel(model: Guarded, kernel: Implementation) -> Guarded:
    """`model` with another kernel for its one step."""
    (step,) = model.program.steps
    return replace(model, program=replace(model.program, steps=(replace(step, implementation=kernel),)))


def test_what_lies_outside_by_a_little_is_found(tmp_path: Path) -> None:
    """The same kernel with a scratch, or an array, that is a little smaller than what it uses."""
    net, core = Net(5), CORES["m4"]
    data = net.done(net.conv(net.input((1, 6, 5, 4)), 3))
    whole = guarded("whole", data, core, np.ones((1, 6, 5, 4), np.int8))
    kernel = whole.program.steps[0].implementation
    weights, *others = kernel.constants
    fewer = replace(weights, values=weights.values[:-1])
    models = [
        whole,
        replace(with_kernel(whole, replace(kernel, scratch_bytes=kernel.scratch_bytes - 4)), id="scratch"),
        replace(with_kernel(whole, replace(kernel, constants=(fewer, *others))), id="weights"),
    ]
    wrong = run_guarded(models, core, tmp_path, "end")
    assert [sentence.split(",")[0] for sentence in wrong] == ["scratch", "weights"]
    assert "writes" in wrong[0]
    assert "reads" in wrong[1]
    assert all("nothing is mapped" in sentence for sentence in wrong)
