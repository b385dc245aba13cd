"""What trains many networks and is stopped, by Ctrl-C or by kill -9, loses none of them: the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from support.cli import start, succeeds

pytest.importorskip("tensorflow")
optuna = pytest.importorskip("optuna")

# One setting, so that every trial of a study after the first takes its network from the cache.
SETTING = (
    *("--board", "stm32f746", "--arch", "ds_cnn", "--input-size", "12", "--dataset", "digits", "--epochs", "1"),
    *("--learning-rate", "0.01", "--weight-decay", "0", "--label-smoothing", "0", "--crop", "0"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both commands run: the sweep finds what the search has trained."""
    return tmp_path_factory.mktemp("trainings")


def complete(storage: str) -> set[int]:
    """The numbers of the trained networks so far; none before the study was begun."""
    try:
        study = optuna.load_study(study_name="s", storage=storage)
    except (KeyError, optuna.exceptions.StorageInternalError):
        return set()
    return {trial.number for trial in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))}


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on(place: Path) -> None:
    """Whatever it was at: the study has a trial then that nobody will finish."""
    storage = f"sqlite:///{place}/study.db"
    command = ("search", *SETTING, "--alpha", "0.05", "--study", "s", "--storage", storage, "--json", "found.json")
    killed = start(*command, "--trials", "10000", cwd=place)
    while not complete(storage):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    before = complete(storage)
    succeeds(*command, "--trials", str(len(before) + 1), cwd=place)
    numbers = [one["number"] for one in json.loads((place / "found.json").read_text())["found"]]
    assert len(numbers) == len(set(numbers)) == len(before) + 1
    assert before < set(numbers)


@pytest.mark.slow
def test_a_sweep_that_was_interrupted_goes_on(place: Path) -> None:
    """Ctrl-C comes while the second network is trained."""
    command = ("sweep", "--train", *SETTING, "--alpha", "0.05,0.1", "--json", "sweep.json")
    interrupted = start(*command, cwd=place)
    assert interrupted.stderr is not None
    assert any("network  2 of 2" in line for line in iter(interrupted.stderr.readline, ""))
    interrupted.stderr.readline()  # it is under way
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate()
    assert interrupted.returncode == 130, said
    assert "Traceback" not in said
    again = succeeds(*command, cwd=place)
    assert again.err.index("taken from the cache") < again.err.index("network  2 of 2")
    scores = [one["trained"]["int8_score"] for one in json.loads((place / "sweep.json").read_text())]
    assert len(scores) == 2
    assert all(0 < score <= 1 for score in scores)
