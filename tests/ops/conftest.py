"""Fixtures of the operator tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.cases import Case

from tinydeploy.oracle import Oracle


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    """One TFLM process for the whole session."""
    with Oracle() as running:
        yield running


@pytest.fixture(scope="session")
def expected(oracle: Oracle) -> Callable[[Case], NDArray[Any]]:
    """TFLM's output of a case, (N, elements), computed once."""
    known: dict[str, NDArray[Any]] = {}

    def of(case: Case) -> NDArray[Any]:
        if case.id not in known:
            inputs = case.inputs()
            known[case.id] = np.ascontiguousarray(oracle.run(case.model(), inputs)).reshape(len(inputs), -1)
        return known[case.id]

    return of
