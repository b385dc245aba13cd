"""The official benchmarks by the text protocol on the virtual board: a few inputs, every output TFLite Micro's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import succeeds

pytest.importorskip("unicorn")

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_keywords(shared_models: list[Path], tmp_path: Path) -> None:
    """The first official inputs: their classes, and each output."""
    if not (DATA / "kws01.tar.xz").is_file():
        pytest.skip(f"no kws01.tar.xz in {DATA}")
    model = next((path for path in shared_models if path.stem == "kws_ref_model"), None)
    if model is None:
        pytest.skip(f"no kws_ref_model.tflite in {shared_models[0].parent}")
    options = ("--board", "nucleo_l4r5zi", "--data", DATA, "--samples", 4, "--json", "out.json")
    printed = succeeds("mlperf", "--model", model, *options, cwd=tmp_path).out
    (found,) = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert (found["task"], found["samples"], found["outputs"], found["mismatches"]) == ("kws01", 4, 5, 0)
    assert found["quality"] == 1.0
    assert found["latency_us"] == pytest.approx(found["cycles"] / found["core_hz"] * 1e6, rel=1e-3)
    assert "estimate" in found["cycle_model"]
    assert "ST X-CUBE-AI 9.0" in printed
    assert "energy mode is not supported" in printed


def test_anomalies(shared_models: list[Path], tmp_path: Path) -> None:
    """Floats in, the reconstruction's error out, equal to the host's."""
    model = next((path for path in shared_models if path.stem == "ad01_int8"), None)
    if model is None:
        pytest.skip(f"no ad01_int8.tflite in {shared_models[0].parent}")
    succeeds("mlperf", "--model", model, "--board", "stm32f746", "--json", "out.json", cwd=tmp_path)
    (found,) = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert (found["task"], found["outputs"], found["mismatches"], found["quality"]) == ("ad01", 1, 0, None)
