"""What the command line prints, as a user sees it in a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from golden.model import model

Golden = Callable[[str, str], None]

TRANSCRIPTS = {
    "help": [["--help"], ["build", "--help"], ["bench", "--help"], ["verify", "--help"]],
    "boards": [["boards"]],
    "inspect": [["inspect", "golden.tflite"], ["inspect", "golden.tflite", "--board", "stm32f746"]],
    "mistakes": [
        ["benhc"],
        ["flash-it"],
        ["build"],
        ["build", "--bord", "stm32f746"],
        ["build", "--board", "stm32f764"],
        ["build", "--board", "stm32f746", "--alpha", "wide"],
        ["build", "--board", "stm32f746", "--alpha", "1.5"],
        ["build", "--board", "stm32f746", "--input-size", "8"],
        ["build", "--board", "stm32f746", "--arch", "mobilenet_v11"],
        ["build", "--board", "stm32f746", "--dataset", "digit"],
        ["build", "--board", "stm32f746", "--toolchain", "clang"],
        ["build", "--board", "stm32f746", "--model", "missing.tflite"],
        ["build", "--board", "stm32f746", "--model", "golden.tflite", "--dataset", "digits"],
        ["build", "--board", "stm32f746", "--samples", "golden.npz"],
        ["inspect", "missing.tflite"],
        ["inspect", "text.tflite"],
        ["inspect", "cut.tflite"],
        ["bench"],
        ["bench", "--project", "missing"],
        ["verify", "--inputs", "0"],
        ["verify", "--model", "golden.tflite"],
    ],
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str, golden: Golden, tmp_path: Path) -> None:
    data = model()
    (tmp_path / "golden.tflite").write_bytes(data)
    (tmp_path / "cut.tflite").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.tflite").write_text("this is no model, but long enough to be one\n")
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
    parts = []
    for arguments in TRANSCRIPTS[name]:
        result = subprocess.run(
            [sys.executable, "-m", "tinydeploy", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        end = f"(exit code {result.returncode})\n" if result.returncode else ""
        parts.append(f"$ tinydeploy {' '.join(arguments)}\n{result.stdout}{result.stderr}{end}")
    golden(f"cli/{name}.txt", "\n".join(parts))
