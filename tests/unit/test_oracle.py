"""The oracle survives what TFLite Micro does not, and says what TFLite Micro said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.net import Net

from tinydeploy import oracle
from tinydeploy.errors import OracleError, ToolchainError
from tinydeploy.oracle import Oracle


def sum_of_two() -> tuple[bytes, int, int]:
    """A model with the index of its convolution's output and of its output."""
    net = Net(3)
    x = net.input((1, 3, 4, 5))
    y = net.conv(x, 5)
    z = net.add(x, y)
    return net.done(z), y, z


def aborting() -> bytes:
    """A softmax of a scale that TFLM answers with abort()."""
    net = Net()
    return net.done(net.softmax(net.input((1, 4), 1e-12, 0)))


def refused() -> bytes:
    """A pool whose output is quantized otherwise than its input."""
    net = Net()
    y = net.pool("max", net.input((1, 4, 4, 2), 0.5, 0))
    tensor = net.model.tensors[y]
    assert tensor.quant is not None
    net.model.tensors[y] = type(tensor)(tensor.shape, tensor.dtype, type(tensor.quant)((0.25,), (0,)))
    return net.done(y)


def test_batch_dimension_stands_for_the_inputs() -> None:
    model, _, _ = sum_of_two()
    inputs = np.random.default_rng(0).integers(-128, 128, (7, 3, 4, 5)).astype(np.int8)
    with Oracle() as running:
        together = running.run(model, inputs)
        assert together.shape == (7, 3, 4, 5)
        assert together.dtype == np.int8
        for one, want in zip(inputs, together, strict=True):
            np.testing.assert_array_equal(running.run(model, one[None])[0], want)


def test_all_tensors_are_keyed_by_their_index() -> None:
    model, y, z = sum_of_two()
    one = np.arange(60, dtype=np.int8).reshape(1, 3, 4, 5)
    tensors = oracle.run_all_tensors(model, one)
    assert set(tensors) == {0, y, z}
    np.testing.assert_array_equal(tensors[0], one)
    np.testing.assert_array_equal(tensors[z][0], oracle.run(model, one)[0])


def test_an_abort_is_an_error_and_the_next_model_runs() -> None:
    model, _, _ = sum_of_two()
    with Oracle() as running:
        with pytest.raises(OracleError, match="aborted on the model"):
            running.run(aborting(), np.zeros((1, 4), np.int8))
        assert running.run(model, np.zeros((1, 3, 4, 5), np.int8)).shape == (1, 3, 4, 5)


def test_a_refusal_carries_tflms_words() -> None:
    with pytest.raises(OracleError, match=r"refused the model.*scale_diff"):
        oracle.run(refused(), np.zeros((1, 4, 4, 2), np.int8))


def test_inputs_that_do_not_fit_are_named() -> None:
    model, _, _ = sum_of_two()
    with Oracle() as running:
        with pytest.raises(OracleError, match="takes 60 B"):
            running.run(model, np.zeros((2, 61), np.int8))
        with pytest.raises(OracleError, match="no inputs"):
            running.run(model, np.zeros((0, 60), np.int8))


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 100])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(OracleError):
        oracle.run(data, np.zeros((1, 4), np.int8))


def test_an_endless_call_is_stopped() -> None:
    model, _, _ = sum_of_two()
    with Oracle(timeout_s=0.001) as running, pytest.raises(OracleError, match="took more than"):
        running.run(model, np.zeros((1, 3, 4, 5), np.int8))


def test_a_missing_wheel_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tflite_micro.py").write_text("raise ImportError('no TFLite Micro here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model, _, _ = sum_of_two()
    with pytest.raises(ToolchainError, match=r"pip install 'tinydeploy\[oracle\]'"):
        oracle.run(model, np.zeros((1, 3, 4, 5), np.int8))
