"""Projects that the tests of the command line share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.cli import succeeds
from support.link.projects import small_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small model in the folder where the test works."""
    path = tmp_path / "small.tflite"
    path.write_bytes(small_model())
    return path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small model was built for stm32f746; look, do not touch."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "small.tflite").write_bytes(small_model())
    succeeds("build", "--board", "stm32f746", "--model", "small.tflite", cwd=folder)
    return folder


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """A copy of it, to do anything with."""
    folder = tmp_path / "copied"
    shutil.copytree(built, folder)
    return folder
