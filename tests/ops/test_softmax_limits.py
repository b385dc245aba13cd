"""SOFTMAX with so many classes that TFLite Micro aborts on some inputs: defined, and equal to the numpy reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.compiled import build_host, make_unit
from support.net import Net

from tinydeploy.errors import OracleError, UnsupportedOpError
from tinydeploy.oracle import Oracle
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model


def model(classes: int) -> bytes:
    net = Net(1)
    return net.done(net.softmax(net.input((1, classes), 0.05, 0)))


@pytest.mark.parametrize("classes", [512, 1000, 4095])
def test_many_equal_classes_are_all_zero(classes: int, oracle: Oracle, tmp_path: Path) -> None:
    data = model(classes)
    rng = np.random.default_rng(classes)
    spread = rng.integers(-128, 128, (4, classes)).astype(np.int8)
    equal = np.zeros((1, classes), np.int8)
    inputs = np.concatenate([spread, equal])
    (outputs,) = build_host([make_unit("softmax", data, None)], tmp_path).run([inputs])
    graph = read_model(data, "softmax")
    for one, got in zip(inputs, outputs.view(np.int8), strict=True):
        np.testing.assert_array_equal(got, run_graph(graph, one)[graph.output].reshape(-1))
    np.testing.assert_array_equal(outputs.view(np.int8)[4], -128)
    if classes == 512:
        np.testing.assert_array_equal(outputs.view(np.int8)[:4], oracle.run(data, spread))
    with pytest.raises(OracleError, match="aborted"):
        oracle.run(data, equal)


def test_more_classes_than_the_sum_holds_are_refused() -> None:
    with pytest.raises(UnsupportedOpError, match="4096 classes"):
        read_model(model(4096), "softmax")
