"""``mlperf PORT`` as somebody with a board runs it: the firmware's main behind a pseudo-terminal, in a quarter of a
second of its own time for each run, so that windows of ten seconds are over at once."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np
import pytest
from support.cli import refused, succeeds
from support.link.devices import device_on_a_pty
from support.link.projects import build_native, write_project
from support.net import Net

from tinydeploy.latency import microseconds
from tinydeploy.mlperf import run, task_for
from tinydeploy.mlperf_data import read_samples
from tinydeploy.project import Project
from tinydeploy.resources import resource_dir
from tinydeploy.transport import SerialTransport

A_RUN_S = 0.25
CORE_HZ = 100_000_000


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A network of the sizes of kws01, for this machine, which calls itself a board of the clock of an F411."""
    net = Net(seed=5)
    model = net.done(net.mean(net.conv(net.input((1, 49, 10, 1)), 12, (3, 3))))
    made = write_project(tmp_path_factory.mktemp("kws"), model)
    shutil.copyfile(resource_dir("boards") / "nucleo_f411re.toml", made.folder / "host.toml")
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three inputs as the official ones are kept."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "kws01").mkdir()
    with (folder / "kws01/y_labels.csv").open("w", newline="") as table:
        for index, values in enumerate(np.random.default_rng(3).integers(0, 256, (3, 490), np.uint8)):
            (folder / f"kws01/{index}.bin").write_bytes(values.tobytes())
            csv.writer(table).writerow([f"{index}.bin", 12, index])
    return folder


@pytest.fixture
def port(project: Project) -> Iterator[str]:
    program = build_native(project, f"-DHOST_CYCLES={round(A_RUN_S * CORE_HZ)}u")
    with device_on_a_pty(program) as (name, _):
        yield name


def test_both_modes_with_windows_of_ten_seconds(project: Project, data: Path, port: str, tmp_path: Path) -> None:
    options = ("--project", project.folder, "--data", data, "--json", "out.json")
    printed = succeeds("mlperf", port, *options, cwd=tmp_path).out
    (found,) = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert (found["windows"], found["runs_per_window"], found["valid_duration"]) == (5, 70, True)
    assert found["latency_us"] == A_RUN_S * 1e6
    assert found["cycles"] == A_RUN_S * CORE_HZ
    assert (found["samples"], found["outputs"], found["mismatches"]) == (3, 8, 0)
    assert microseconds(A_RUN_S * 1e6) in printed
    assert "of 3" in printed


def test_windows_and_inputs_are_counted_apart(project: Project, data: Path, port: str) -> None:
    """An input takes far less than a window: the time left of one says nothing of the other."""
    told: list[tuple[str, int, int]] = []
    with closing(SerialTransport(port)) as transport:
        run(
            project,
            transport,
            CORE_HZ,
            read_samples(data, task_for(project), 2),
            stage=lambda what: nullcontext(lambda done, total: told.append((what, done, total))),
        )
    windows = [("kws01 windows", done, 5) for done in range(1, 6)]
    assert told == [*windows, ("kws01 inputs", 1, 2), ("kws01 inputs", 2, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--samples", "5"), "--samples goes with --data"),
        (("--data", "."), ". holds no inputs of kws01; give a folder that holds kws01/ or kws01.tar.xz"),
    ],
)
def test_data_that_would_not_be_used_is_said(
    options: tuple[str, ...], message: str, project: Project, tmp_path: Path
) -> None:
    assert message in refused("mlperf", "/dev/ttyNone", "--project", project.folder, *options, cwd=tmp_path)
