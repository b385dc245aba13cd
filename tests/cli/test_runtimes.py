"""build --runtime tflm and bench --compare, by a real TensorFlow Lite Micro where TFLM_DIR names one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from support.cli import refused, succeeds, tinydeploy

BOARD = "nucleo_l4r5zi"


@pytest.fixture
def tree() -> str:
    found = os.environ.get("TFLM_DIR")
    if not found:
        pytest.skip("TFLM_DIR is not set: no TensorFlow Lite Micro to link against")
    if shutil.which("arm-none-eabi-g++") is None:
        pytest.skip("arm-none-eabi-g++ is not installed")
    pytest.importorskip("unicorn")
    return found


def test_both_runtimes_give_the_same_outputs(tree: str, model: Path) -> None:
    folder = model.parent
    for runtime in ("tflm", "tinydeploy"):
        built = succeeds("build", "--board", BOARD, "--model", model.name, "--runtime", runtime, cwd=folder)
        assert "is built; next: tinydeploy bench" in built.out
    manifest = json.loads((folder / f"build/{BOARD}-small-tflm/tinydeploy.json").read_text())
    assert manifest["runtime"] == "tflm"
    assert 0 <= manifest["input"]["offset_bytes"] < manifest["arena_bytes"] < 16_384
    for project in (f"build/{BOARD}-small", f"build/{BOARD}-small-tflm"):
        out = succeeds("bench", "--project", project, "--compare", "--samples", "2", "--json", "c.json", cwd=folder).out
        assert "all exact" in out
        stored = json.loads((folder / "c.json").read_text())
        assert stored["old"]["exact"] is stored["new"]["exact"] is True
        assert stored["old"]["flash_bytes"] > 2 * stored["new"]["flash_bytes"]
        assert [row["old"]["op"] for row in stored["layers"]] == [
            "CONV_2D",
            "DEPTHWISE_CONV_2D",
            "MEAN",
            "FULLY_CONNECTED",
        ]
    verified = succeeds("verify", "--project", f"build/{BOARD}-small-tflm", cwd=folder).out
    assert verified.startswith("exact: small")


def test_without_a_tree_nothing_is_built(model: Path) -> None:
    result = tinydeploy(
        "build", "--board", BOARD, "--model", model.name, "--runtime", "tflm", cwd=model.parent, TFLM_DIR=""
    )
    assert result.code == 2
    assert "TFLM_DIR is not set: git clone https://github.com/tensorflow/tflite-micro" in result.err
    assert not (model.parent / "build").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--toolchain", "zig"), "links a library that gcc has made"),
        (("--optimize", "ram"), "--optimize, --stream-input and --keep-constant-channels are the compiler's"),
    ],
)
def test_the_compilers_options_are_not_the_interpreters(options: tuple[str, ...], sentence: str, model: Path) -> None:
    command = ("build", "--board", BOARD, "--model", model.name, "--runtime", "tflm", *options)
    assert sentence in refused(*command, cwd=model.parent)


def test_comparing_needs_both_builds(built: Path) -> None:
    project = "build/stm32f746-small"
    message = refused("bench", "--project", project, "--compare", cwd=built)
    assert "there is no stm32f746-small-tflm beside stm32f746-small" in message
    assert "build the same model with --runtime tflm --out" in message
    message = refused("bench", "/dev/null", "--project", project, "--compare", cwd=built)
    assert "--compare runs both builds on virtual boards" in message
