"""A sweep with training: the Pareto front, and how table, plot and JSON show it."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree
from pathlib import Path

import pytest

from tinydeploy import training_cache
from tinydeploy.arithmetic import Estimate, estimate
from tinydeploy.boards import load_board
from tinydeploy.job import Job
from tinydeploy.progress import ignore_progress
from tinydeploy.sweep import Refused
from tinydeploy.sweep_plot import sweep_svg
from tinydeploy.sweep_report import sweep_json, sweep_report
from tinydeploy.sweep_train import Score, job_for, score
from tinydeploy.tables import print_report
from tinydeploy.zoo import make_spec

BOARD = load_board("stm32f746")
JOB = Job(dataset="digits")


def network(alpha: float, cycles: int, ram_bytes: int, flash_bytes: int = 9000) -> Estimate:
    found = estimate(make_spec("ds_cnn", alpha=alpha, input_size=(12, 0), channels=1, classes=10), BOARD)
    return dataclasses.replace(
        found, cycles=cycles, firmware_ram_bytes=ram_bytes, firmware_flash_bytes=flash_bytes, layers=()
    )


@pytest.fixture(scope="module")
def points() -> tuple[Estimate | Refused, ...]:
    """Slow and good, fast and bad, beaten by the first in everything, too large for the board, refused."""
    return (
        network(0.05, 9_000_000, 20_000),
        network(0.1, 1_000_000, 30_000),
        network(0.15, 9_000_001, 20_000),
        network(0.2, 500_000, 10_000, flash_bytes=1 << 30),
        Refused(make_spec("ds_cnn", alpha=0.5), "too wide"),
    )


ACCURACIES = (0.9, 0.5, 0.9, 0.99)


@pytest.fixture(scope="module")
def scores(
    points: tuple[Estimate | Refused, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Score | None, ...]:
    """As they come out of a cache that holds every training already."""
    cache = tmp_path_factory.mktemp("cache")
    for point, accuracy in zip(points, ACCURACIES, strict=False):
        kept(cache / job_for(JOB, point.spec).key()[:16], accuracy)
    said: list[str] = []
    found = score(points, JOB, cache, progress=ignore_progress, stage=said.append)
    assert sum("taken from the cache" in line for line in said) == len(ACCURACIES)
    return found


def kept(folder: Path, accuracy: float) -> None:
    import numpy as np

    folder.mkdir()
    (folder / "model.tflite").write_bytes(b"")
    np.savez(folder / "samples.npz", inputs=np.zeros(1), labels=np.zeros(1), outputs=np.zeros(1))
    facts = {"auc": None, "float_accuracy": 0.95, "int8_accuracy": accuracy}
    (folder / "training.json").write_text(json.dumps(facts))
    assert training_cache.load(folder) is not None


def test_the_front_is_of_what_fits(scores: tuple[Score | None, ...]) -> None:
    assert [one and one.on_front for one in scores] == [True, True, False, False, None]
    assert [one and one.int8_score for one in scores] == [*ACCURACIES, None]


def test_table_and_json_show_what_is_reached(
    points: tuple[Estimate | Refused, ...], scores: tuple[Score | None, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(sweep_report(points, BOARD, scores))
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("ds_cnn ")]
    assert [row[-4:] for row in rows[:2]] == [["yes", "90.00", "%", "*"], ["yes", "50.00", "%", "*"]]
    assert [row[-3:] for row in rows[2:4]] == [["yes", "90.00", "%"], ["no", "99.00", "%"]]
    assert rows[4][-1] == "no"
    told = json.loads(sweep_json(points, scores))
    assert told[0]["trained"] == {"measure": "accuracy", "float_score": 0.95, "int8_score": 0.9, "on_front": True}
    assert "trained" not in told[4]


def test_the_plot_joins_the_best_for_their_cost(
    points: tuple[Estimate | Refused, ...], scores: tuple[Score | None, ...]
) -> None:
    root = xml.etree.ElementTree.fromstring(sweep_svg(points, BOARD, scores))
    space = "{http://www.w3.org/2000/svg}"
    circles = root.findall(f"{space}circle")
    assert len(circles) == 3 * len(ACCURACIES)
    assert sum(circle.get("fill-opacity") == "0" for circle in circles) == 3  # what does not fit
    lines = [line for line in root.findall(f"{space}polyline") if line.get("class") == "front"]
    assert [len(str(line.get("points")).split()) for line in lines] == [2, 2, 2]  # two are alike in RAM and flash
