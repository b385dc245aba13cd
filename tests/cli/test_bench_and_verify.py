"""bench, verify and emulate on the virtual board: the reference models, both boards, both ways to reach a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.cli import names, running, succeeds, tinydeploy

pytest.importorskip("unicorn")

BOARDS = ("stm32f746", "nucleo_l4r5zi")
SMALL = ("ad01_int8", "kws_ref_model")
LARGE = ("pretrainedResnet_quant", "vww_96_int8")
# Instructions of TFLM with CMSIS-NN on the M4 for the same inference, at -O2: what a compiled model must stay under.
INTERPRETED = {
    "ad01_int8": 582_917,
    "kws_ref_model": 7_697_357,
    "pretrainedResnet_quant": 29_862_853,
    "vww_96_int8": 24_101_893,
}
COUNTS = ("macs", "instructions", "cycles", "flash_bytes", "ram_bytes", "arena_bytes", "stack_bytes")


def check(stored: dict[str, Any], board: str, model: str) -> None:
    """What programs may rely on in bench's JSON."""
    assert stored["board"] == board
    assert stored["core"] == {"stm32f746": "m7", "nucleo_l4r5zi": "m4"}[board]
    assert stored["unit"] == "cycles"
    assert "estimate" in stored["cycle_model"]
    assert len(stored["model_sha256"]) == 64
    assert all(isinstance(stored[name], int) and stored[name] > 0 for name in COUNTS)
    assert stored["firmware_flash_bytes"] > stored["flash_bytes"]
    assert stored["firmware_ram_bytes"] > stored["arena_bytes"]
    assert stored["ram_bytes"] >= stored["arena_bytes"] + stored["stack_bytes"]
    assert stored["latency_us"] == pytest.approx(stored["cycles"] / stored["core_hz"] * 1e6)
    assert stored["accuracy"] is None
    assert stored["exact"] is True
    assert stored["instructions"] < INTERPRETED.get(model, stored["instructions"] + 1)
    layers = stored["per_layer"]
    assert all(set(layer) == {"name", "op", "macs", "instructions", "cycles"} for layer in layers)
    assert 0 < sum(layer["macs"] for layer in layers) <= stored["macs"]  # less where constant channels were removed
    assert 0 <= stored["instructions"] - sum(layer["instructions"] for layer in layers) < 500


def path_of(model: str, shared_models: list[Path]) -> Path:
    found = [path for path in shared_models if path.stem == model]
    if not found:
        pytest.skip(f"{model}.tflite is not in {shared_models[0].parent}")
    return found[0]


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("model", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_reference_models(model: str, board: str, shared_models: list[Path], tmp_path: Path) -> None:
    path = path_of(model, shared_models)
    verified = succeeds("verify", "--model", path, "--board", board, "--inputs", "1", "--json", "v.json", cwd=tmp_path)
    assert verified.out.startswith(f"exact: {model} on {board}")
    assert json.loads((tmp_path / "v.json").read_text())["passed"] is True
    measured = succeeds("bench", "--samples", "1", "--json", "b.json", cwd=tmp_path)
    stored = json.loads((tmp_path / "b.json").read_text())
    check(stored, board, model)
    assert f"{stored['instructions']:,}, counted exactly" in measured.out
    assert "estimate)" in measured.out


def test_bench_finds_the_project_it_stands_in(built: Path) -> None:
    for where, options in ((built / "build/stm32f746-small", ()), (built, ("--project", "build/stm32f746-small"))):
        out = succeeds("bench", "--samples", "2", *options, cwd=where).out
        assert "all 2 equal TFLite Micro's, bit for bit" in out


def test_bench_counts_the_same_each_time(built: Path, tmp_path: Path) -> None:
    stored = []
    for name in ("a.json", "b.json"):
        succeeds("bench", "--samples", "1", "--json", tmp_path / name, cwd=built)
        stored.append((tmp_path / name).read_text())
    assert stored[0] == stored[1]
    check(json.loads(stored[0]), "stm32f746", "small")


def test_samples_with_labels_give_an_accuracy(model: Path) -> None:
    import numpy as np

    folder = model.parent
    inputs = np.random.default_rng(0).integers(-128, 128, (4, 9, 8, 3), np.int8)
    np.savez(folder / "samples.npz", inputs=inputs, labels=np.array([0, 1, 2, 3]))
    build = ("build", "--board", "nucleo_l4r5zi", "--model", "small.tflite", "--samples", "samples.npz")
    succeeds(*build, cwd=folder)
    succeeds("bench", "--json", "b.json", cwd=folder)
    stored = json.loads((folder / "b.json").read_text())
    assert stored["samples"] == 4
    assert stored["accuracy"] in (0, 0.25, 0.5, 0.75, 1)
    assert stored["accuracy"] == stored["host_accuracy"]


def test_emulate_offers_a_port_that_bench_and_verify_take_for_a_board(built: Path, tmp_path: Path) -> None:
    with running("emulate", "build/stm32f746-small", cwd=built) as emulator:
        assert emulator.stdout is not None
        announced = emulator.stdout.readline()
        port = announced.split("its UART is ")[1].strip()
        measured = succeeds("bench", port, "--samples", "2", "--json", tmp_path / "b.json", cwd=built)
        assert "all 2 equal TFLite Micro's, bit for bit" in measured.out
        stored = json.loads((tmp_path / "b.json").read_text())
        assert stored["instructions"] is None
        assert stored["cycles"] > 0
        assert succeeds("verify", port, "--inputs", "1", cwd=built).out.startswith("exact: ")


def test_firmware_of_another_build_is_noticed(built: Path, copied: Path) -> None:
    """The device runs the old firmware, the folder holds a newer build."""
    project = copied / "build/stm32f746-small"
    manifest = json.loads((project / "tinydeploy.json").read_text())
    manifest["fingerprint"] = "0" * 64
    (project / "tinydeploy.json").write_text(json.dumps(manifest))
    result = tinydeploy("bench", cwd=copied)
    assert result.code == 2
    assert "flash" in result.err.splitlines()[-1]
    assert "Traceback" not in result.err
    assert names(copied) == names(built)
