"""The numpy reference of every operator equals TFLite Micro, bit for bit, over the tables of cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.cases import ALL_CASES, TABLES, Case

from tinydeploy.ops import READERS
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.id)
def test_reference_equals_tflm(case: Case, expected: Callable[[Case], NDArray[Any]]) -> None:
    graph = read_model(case.model(), case.id)
    for one_input, want in zip(case.inputs(), expected(case), strict=True):
        got = run_graph(graph, one_input)[graph.output].reshape(-1)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_every_operator_that_compiles_has_a_table() -> None:
    tabled = {op.upper() for op in TABLES}
    short = {"CONV_2D": "CONV", "DEPTHWISE_CONV_2D": "DEPTHWISE"}
    missing = {short.get(kind, kind.removesuffix("_2D")) for kind in READERS} - tabled
    assert not missing


def test_writer_makes_the_same_bytes_each_time() -> None:
    for table in TABLES.values():
        assert table[0].model() == table[0].model()
