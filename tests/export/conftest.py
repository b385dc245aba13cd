"""A library of a small model for every ecosystem, and compilers that warn of everything."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.net import Net
from support.tflite_schema import Activation, Padding

from tinydeploy.export import ExportRequest, Library, export, write_library

ZIG = (sys.executable, "-m", "ziglang")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


def model_bytes(seed: int = 5) -> bytes:
    """An operator of each common kind: 12x12 RGB images to five classes."""
    net = Net(seed)
    at = net.conv(net.input((1, 12, 12, 3)), 8, activation=Activation.RELU)
    left = net.conv(net.depthwise(at), 8, (1, 1))
    at = net.pool("max", net.add(at, left), (2, 2))
    at = net.pad(at, [(0, 0), (1, 1), (1, 1), (0, 0)])
    at = net.conv(at, 12, (3, 3), stride=(2, 2), padding=Padding.VALID)
    at = net.pool("average", at, (3, 3))
    at = net.fully_connected(net.reshape(at, (1, 12)), 5)
    return net.done(net.softmax(at))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(model_bytes())
    return path


@pytest.fixture(scope="session")
def library(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The model exported for an ecosystem, as kws, once: look, do not touch. For CMake with a core more than by
    default."""
    made: dict[str, Path] = {}

    def of(ecosystem: str) -> Path:
        if ecosystem not in made:
            cores = ("m4", "m0plus", "m55") if ecosystem == "cmake" else ()
            request = ExportRequest(model, ecosystem, name="kws", cores=cores)
            made[ecosystem] = written(export(request), tmp_path_factory.mktemp(ecosystem) / "kws")
        return made[ecosystem]

    return of


def written(library: Library, folder: Path) -> Path:
    write_library(library, folder)
    return folder


def tool(name: str) -> str:
    """A program of this environment or of the machine; the test is skipped where there is none."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
