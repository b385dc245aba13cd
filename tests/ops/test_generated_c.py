"""Generated C equals TFLite Micro, bit for bit, over the tables of cases: on the host and on virtual cores.

The host runs every case, the portable kernels and those of each core (their instructions in plain C), under sanitizers
with the arena poisoned around each step's buffers. Virtual cores share the cases among them; ``pytest --all-cores``
runs every case on every core.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.cases import TABLES, Case
from support.compiled import CoreBuild, HostBuild, build_core, build_host, make_unit

from tinydeploy.cores import CORES, VIRTUAL_CORES

Expected = Callable[[Case], NDArray[Any]]
needs_unicorn = pytest.mark.skipif(
    importlib.util.find_spec("unicorn") is None, reason="needs unicorn: pip install 'tinydeploy[virtual]'"
)


def assert_equal(build: HostBuild | CoreBuild, cases: Sequence[Case], expected: Expected) -> None:
    wrong = []
    for case, got in zip(cases, build.run([case.inputs() for case in cases]), strict=True):
        want = expected(case).view(np.uint8)
        if not np.array_equal(got, want):
            where = np.argwhere(got != want)
            wrong.append(
                f"{case.id}: {len(where)} of {want.size} bytes differ, first at (input, byte) {tuple(where[0])}"
            )
    assert not wrong, "\n".join(wrong)


def share_of(core: str, cases: Sequence[Case]) -> Sequence[Case]:
    """Every case on one core, and one on each core at least, where an operator has fewer cases than there are cores."""
    names = list(VIRTUAL_CORES)
    own = [case for i, case in enumerate(cases) if names[(i + i // len(names)) % len(names)] == core]
    return own or cases[:1]


@pytest.mark.parametrize("op", TABLES)
def test_portable_c_on_the_host_equals_tflm(op: str, expected: Expected, tmp_path: Path) -> None:
    cases = TABLES[op]
    assert_equal(build_host([make_unit(case.id, case.model(), None) for case in cases], tmp_path), cases, expected)


@pytest.mark.parametrize("core", ["m4", "m0plus"])
@pytest.mark.parametrize("op", TABLES)
def test_kernels_for_a_core_on_the_host_equal_tflm(op: str, core: str, expected: Expected, tmp_path: Path) -> None:
    chosen = []
    for case in TABLES[op]:
        model = case.model()
        portable, special = make_unit(case.id, model, None), make_unit(case.id, model, CORES[core])
        if set(portable.files) != set(special.files):  # another kernel file: the core has one for it
            chosen.append((case, special))
    if not chosen:
        pytest.skip(f"{op} has no kernels for the {core}")
    assert_equal(build_host([unit for _, unit in chosen], tmp_path), [case for case, _ in chosen], expected)


@needs_unicorn
@pytest.mark.parametrize("core", VIRTUAL_CORES)
@pytest.mark.parametrize("op", TABLES)
def test_c_on_a_virtual_core_equals_tflm(
    op: str, core: str, expected: Expected, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cases = TABLES[op]
    if not request.config.getoption("--all-cores"):
        cases = share_of(core, cases)
    units = [make_unit(case.id, case.model(), CORES[core]) for case in cases]
    assert_equal(build_core(units, CORES[core], tmp_path), cases, expected)
