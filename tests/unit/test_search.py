"""A search: what it draws, what it prunes, and studies that processes share, leave and take up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from support.postgres import postgres

from tinydeploy import search as search_module
from tinydeploy.arithmetic import Scale
from tinydeploy.boards import load_board
from tinydeploy.build import Request
from tinydeploy.cli import cli
from tinydeploy.cli_train import read_training
from tinydeploy.errors import FitError, UsageError
from tinydeploy.job import Job
from tinydeploy.method import Method
from tinydeploy.pareto import front
from tinydeploy.progress import ignore_progress
from tinydeploy.search import Search, interruptible, read_objectives, search
from tinydeploy.search_space import Space, build_arguments
from tinydeploy.shipped_constants import FILES
from tinydeploy.sweep import Limits

BOARD = load_board("stm32f746")
SPACE = Space(("ds_cnn",), (0.05, 0.1), ((12, 0),), (), Job(dataset="digits"))
# One network, one setting: whoever trains it first spares the others the work.
POINT = (
    *("--arch", "ds_cnn", "--alpha", "0.05", "--input-size", "12", "--dataset", "digits", "--epochs", "1"),
    *("--learning-rate", "0.01", "--weight-decay", "0", "--label-smoothing", "0", "--crop", "0"),
)
COMPLETE = (optuna.trial.TrialState.COMPLETE,)


def test_the_front_is_what_nothing_beats() -> None:
    costs = [(1, 5), (2, 2), (3, 3), (2, 2), (5, 1), (5, 5)]
    assert front(costs) == [True, True, False, True, True, False]
    assert front([]) == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["accurcy"], "unknown objective 'accurcy'; did you mean 'accuracy'"),
        (["accuracy", "ram", "ram"], "names one twice"),
        (["latency", "ram"], "need no training: tinydeploy sweep"),
    ],
)
def test_objectives_that_make_no_sense_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_objectives(names)


# What is drawn


def test_what_was_given_is_kept_and_the_rest_is_drawn() -> None:
    space = Space(("resnet", "ds_cnn"), (0.1, 0.2), ((16, 0),), (("depth", "14"),), Job(method=Method(crop=0.1)))
    drawn = {"arch": "resnet", "alpha": 0.2, "resnet bottleneck": "on", "learning-rate": 0.012345}
    drawn |= {"weight-decay": 0.02, "label-smoothing": 0.05}
    job = space.draw(optuna.trial.FixedTrial(drawn))  # type: ignore[arg-type]
    assert (job.arch, job.alpha, job.input_size) == ("resnet", 0.2, (16, 0))
    assert dict(job.options) == {"depth": "14", "bottleneck": "on"}
    assert job.method == Method(learning_rate=0.012, weight_decay=0.02, label_smoothing=0.05, crop=0.1)


def test_build_takes_what_was_drawn_from_the_cache() -> None:
    """The command that a search shows names just the training that it did, options in whatever order."""
    method = Method(epochs=3, learning_rate=0.012, weight_decay=0.02, crop=0.1, flip=False, qat=True, qat_epochs=2)
    job = Job("resnet", 0.2, (16, 12), options=(("depth", "14"), ("bottleneck", "on")), dataset="digits", method=method)
    parsed = cli.commands["build"].make_context("build", list(build_arguments(BOARD, job)))
    options = {name: value for name, value in parsed.params.items() if name != "json_file"}
    assert Request(**read_training(options)).job.key() == job.key()


# What is pruned


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, limits: Limits, **given: object) -> Search:
    monkeypatch.chdir(folder)
    asked: dict[str, object] = {
        "objectives": ("accuracy", "latency"),
        "trials": 1,
        "study": "s",
        "storage": "sqlite:///build/s.db",
    }
    asked |= {"space": SPACE}
    return search(
        board=BOARD,
        limits=limits,
        cache=folder,
        progress=ignore_progress,
        stage=lambda text: None,
        **{**asked, **given},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alphas": (0.1, 1.5)}, "--alpha 1.5 is out of range"),
        ({"archs": ("mobilenet_v1",), "sizes": ((8, 0),)}, "mobilenet_v1 cannot take 8x8 pixels"),
        ({"options": (("depht", "8"),)}, "ds_cnn has no option --depht"),
        ({"archs": ("resnet",), "alphas": (1.0,), "sizes": ((640, 0),)}, "The nearest that may fit"),
    ],
)
def test_a_space_of_nothing_is_refused_before_a_study_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], said: str
) -> None:
    given = {"archs": ("ds_cnn",), "alphas": (0.1,), "sizes": ((12, 0),), "options": (), "job": Job(dataset="digits")}
    with pytest.raises((UsageError, FitError), match=said):
        run(tmp_path, monkeypatch, Limits(), space=Space(**{**given, **changes}))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_afforded_is_never_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "_HOPELESS_IN_A_ROW", 3)
    with pytest.raises(FitError, match=r"3 networks in a row were hopeless, the last: ds_cnn_.* needs .* ms"):
        run(tmp_path, monkeypatch, Limits(latency_ms=1e-4))
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/build/s.db")
    assert [trial.state.name for trial in study.trials] == ["PRUNED"] * 3
    assert list(tmp_path.iterdir()) == [tmp_path / "build"]


def test_what_a_perfect_network_already_beats_is_never_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "_HOPELESS_IN_A_ROW", 2)
    with pytest.raises(FitError):
        run(tmp_path, monkeypatch, Limits(latency_ms=1e-4))
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/build/s.db")
    study.add_trial(optuna.trial.create_trial(values=[1.0, 1e-6]))
    study.set_user_attr("asked", json.dumps([BOARD.name, ["accuracy", "latency"], repr(Limits()), SPACE.text()]))
    with pytest.raises(FitError, match="could not beat trial 2 even if never wrong"):
        run(tmp_path, monkeypatch, Limits(), trials=2)


@pytest.mark.parametrize(
    "given", [{"objectives": ("accuracy",)}, {"objectives": ("accuracy", "ram")}, {"scale": Scale(1.5, "mine")}]
)
def test_a_study_of_something_else_is_not_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, object]
) -> None:
    monkeypatch.setattr(search_module, "_HOPELESS_IN_A_ROW", 1)
    with pytest.raises(FitError):
        run(tmp_path, monkeypatch, Limits(latency_ms=1e-4))
    with pytest.raises(UsageError, match=r"the study s in .* searches something else .*; repeat its command"):
        run(tmp_path, monkeypatch, Limits(latency_ms=1e-4), **given)


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("nonsense", "Could not parse"),
        ("postgresql+psycopg://me:secret@127.0.0.1:9/x", "Connection refused"),
        ("mysql://me:secret@127.0.0.1/x", "No module named"),
    ],
)
def test_a_storage_that_cannot_be_had_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str, said: str
) -> None:
    with pytest.raises(UsageError, match=rf"--storage .* cannot be used \(.*{said}.*; give a database") as caught:
        run(tmp_path, monkeypatch, Limits(), storage=storage)
    assert "secret" not in str(caught.value)


def test_ctrl_c_is_ctrl_c_whatever_optuna_stumbles_over() -> None:
    def stumbles() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise UnboundLocalError("cannot access local variable 'updated_state'")

    def says_it_otherwise() -> None:
        try:
            stumbles()
        except UnboundLocalError as error:
            raise RuntimeError("the trial's state cannot be told") from error

    for stumble in (stumbles, says_it_otherwise):
        with pytest.raises(KeyboardInterrupt), interruptible():
            stumble()
    with pytest.raises(ValueError), interruptible():
        raise ValueError


# Studies that are shared


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the searches run, so that they share trainings; mine.toml: constants of a board half as fast."""
    folder = tmp_path_factory.mktemp("searches")
    (shipped,) = (path for path in FILES if path.stem == "stm32f746")
    (folder / "mine.toml").write_text("cost_factor = 2.0\n" + shipped.read_text())
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, place: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{place}/study.db"
        return
    pytest.importorskip("psycopg", reason="no driver for PostgreSQL")
    with postgres() as url:
        if url is None:
            pytest.skip("no PostgreSQL server, neither Debian's nor the pgserver package's")
        yield url


def begin(place: Path, storage: str, trials: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tinydeploy", "search", "--board", "stm32f746", *POINT, "--study", "shared"]
    command += ["--storage", storage, "--trials", str(trials), "--json", "found.json", "--silicon", "mine.toml"]
    environment = os.environ | {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=place, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.slow
def test_processes_share_a_study_that_may_be_left_and_taken_up_again(place: Path, storage: str) -> None:
    """Two processes train until both have, are interrupted, and the same command goes on from what they left."""
    workers = [begin(place, storage, 10_000) for _ in range(2)]
    try:
        while len({trial.user_attrs["found"]["worker"] for trial in complete(storage)}) < 2:
            assert all(worker.poll() is None for worker in workers), [worker.communicate()[0] for worker in workers]
            time.sleep(0.5)
        for worker in workers:
            worker.send_signal(signal.SIGINT)
        said = [worker.communicate()[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [130, 130], said
    before = complete(storage)
    again = begin(place, storage, len(before) + 1)
    shown = again.communicate()[0]
    assert again.returncode == 0, shown
    assert "--silicon mine.toml" in shown  # in the command that builds it
    found = json.loads((place / "found.json").read_text())
    numbers = [one["number"] for one in found["found"]]
    assert len(numbers) == len(set(numbers)) == len(before) + 1
    assert {trial.number for trial in before} <= set(numbers)
    assert all(one["on_front"] for one in found["found"])  # one network, so they are all alike
    assert len({one["int8_score"] for one in found["found"]}) == 1
    assert all("scaled by 2 to those by" in one["cycle_model"] for one in found["found"])


def complete(storage: str) -> list[optuna.trial.FrozenTrial]:
    """The trained networks of the study so far; none before it was begun."""
    try:
        return optuna.load_study(study_name="shared", storage=storage).get_trials(states=COMPLETE)
    except (KeyError, optuna.exceptions.StorageInternalError):
        return []


@pytest.mark.slow
def test_a_sweep_takes_what_a_search_has_trained(place: Path) -> None:
    """And trains it where no search has been; the second time nothing is left to train."""
    command = [sys.executable, "-m", "tinydeploy", "sweep", "--train", "--board", "stm32f746", *POINT]
    for _ in range(2):
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True)
    assert "taken from the cache" in done.stderr
    assert done.stdout.splitlines()[2].split()[-1] == "*"
