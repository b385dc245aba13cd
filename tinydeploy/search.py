"""A search over networks and training settings with Optuna: several objectives, one study that many processes share.

A study lives in a database (``storage``). Whoever names the same one joins it: further processes, further machines, and
the same command after it was stopped. What was interrupted is tried again first, from its checkpoint where that is at
hand. A trial whose predicted cost is hopeless is pruned before it trains.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.arithmetic import Estimate, Scale, estimate
from tinydeploy.boards import Board
from tinydeploy.errors import FitError, ModelError, OracleError, UsageError, did_you_mean
from tinydeploy.job import Job, Stage, obtain
from tinydeploy.pareto import dominates, front
from tinydeploy.progress import Watcher
from tinydeploy.search_space import Space, build_arguments
from tinydeploy.study import database_words, ended, import_optuna, open_study, without_password
from tinydeploy.sweep import Limits

if TYPE_CHECKING:
    import optuna

# What can be asked for, and whether it is to be large.
OBJECTIVES = {"accuracy": True, "latency": False, "ram": False, "flash": False}
# After so many pruned trials in a row nothing is to be found.
_HOPELESS_IN_A_ROW = 100


@dataclass(frozen=True, slots=True)
class Found:
    """A trained network of a study; `values` by objective, `build` the arguments of ``tinydeploy build`` for it,
    `worker` the machine and process that trained it."""

    number: int
    worker: str
    network: str
    measure: str
    values: dict[str, float]
    int8_score: float
    latency_ms: float
    firmware_ram_bytes: int
    firmware_flash_bytes: int
    cycle_model: str
    build: tuple[str, ...]
    on_front: bool


@dataclass(frozen=True, slots=True)
class Search:
    """What a study has come to: all that were trained, in order, how many were pruned, and why the last of them was."""

    study: str
    storage: str
    objectives: tuple[str, ...]
    found: tuple[Found, ...]
    pruned: int
    last_reason: str


def read_objectives(names: Sequence[str]) -> tuple[str, ...]:
    """The objectives called `names`; UsageError for one that there is not, a repeated one, or without accuracy."""
    for name in names:
        if name not in OBJECTIVES:
            hint = did_you_mean(name, OBJECTIVES) or f"; choose from {', '.join(OBJECTIVES)}"
            raise UsageError(f"unknown objective {name!r}{hint}")
    if len(set(names)) < len(names):
        raise UsageError(f"--objectives {','.join(names)} names one twice; name each once")
    if "accuracy" not in names:
        raise UsageError("--objectives without accuracy need no training: tinydeploy sweep shows costs alone")
    return tuple(names)


def search(
    space: Space,
    board: Board,
    *,
    objectives: tuple[str, ...],
    limits: Limits,
    trials: int,
    storage: str,
    study: str,
    cache: Path,
    progress: Watcher,
    stage: Stage,
    scale: Scale | None = None,
) -> Search:
    """Go on with `study` in `storage`, or begin it, until it has `trials` trained networks, whoever trained them.

    Latencies are predicted by `scale`, with which another study must not be mixed.

    FitError when nothing but hopeless networks turn up; UsageError when a network of the space is none, when the
    storage cannot be had, or holds a study of that name that searches something else. KeyboardInterrupt passes through;
    what it interrupted is tried again.
    """
    space.require_sense(board)
    optuna = import_optuna()
    scales = [] if scale is None else [dataclasses.astuple(scale)]
    asked = json.dumps([board.name, objectives, repr(limits), space.text(), *scales])
    directions = ["maximize" if OBJECTIVES[one] else "minimize" for one in objectives]
    with database_words(storage):
        opened = open_study(storage, study, directions, asked)
        if len(ended(opened, "COMPLETE")) < trials:
            attempt = _Attempt(opened, space, board, objectives, limits, scale, cache, progress, stage)
            enough = optuna.study.MaxTrialsCallback(trials)
            with interruptible():
                opened.optimize(attempt, callbacks=[enough, _require_hope])
        return _result(opened, storage, objectives)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C while Optuna keeps its books makes it stumble over what it has not noted; it is Ctrl-C all the same."""
    try:
        yield
    except Exception as error:
        before: BaseException | None = error
        while before is not None:
            if isinstance(before, KeyboardInterrupt):
                raise before from None
            before = before.__context__
        raise


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Optuna's objective: draw, predict, prune or train."""

    study: optuna.Study
    space: Space
    board: Board
    objectives: tuple[str, ...]
    limits: Limits
    scale: Scale | None
    cache: Path
    progress: Watcher
    stage: Stage

    def __call__(self, trial: optuna.Trial) -> tuple[float, ...]:
        job = self.space.draw(trial)
        cost = self._affordable(trial, job)
        self.stage(f"trial    {trial.number}: {cost.spec.name}, {cost.latency_ms:.3g} ms by the cost model")
        try:
            trained = obtain(job, self.cache, progress=self.progress, stage=self.stage)
        except (ModelError, OracleError) as error:  # a training that went nowhere may not be convertible
            raise _pruned(trial, str(error)) from error
        except KeyboardInterrupt:
            self.study.enqueue_trial(trial.params)
            raise
        values = _values(cost, trained.int8_score)
        found = Found(
            trial.number,
            f"{socket.gethostname()}:{os.getpid()}",
            cost.spec.name,
            trained.measure,
            {name: values[name] for name in self.objectives},
            trained.int8_score,
            cost.latency_ms,
            cost.firmware_ram_bytes,
            cost.firmware_flash_bytes,
            cost.cycle_model,
            build_arguments(self.board, job),
            on_front=False,
        )
        trial.set_user_attr("found", dataclasses.asdict(found))
        return tuple(values[name] for name in self.objectives)

    def _affordable(self, trial: optuna.Trial, job: Job) -> Estimate:
        """The predicted cost, unless it is hopeless."""
        try:
            cost = estimate(job.trained_spec(), self.board, scale=self.scale)
        except (UsageError, FitError) as error:
            raise _pruned(trial, str(error)) from error
        broken = self.limits.broken(cost)
        if broken:
            raise _pruned(trial, f"{cost.spec.name} needs {' and '.join(broken)}")
        best = _costs(self.objectives, _values(cost, 1.0))
        for other in ended(self.study, "COMPLETE"):
            if dominates(_costs(self.objectives, dict(zip(self.objectives, other.values, strict=True))), best):
                raise _pruned(trial, f"{cost.spec.name} could not beat trial {other.number} even if never wrong")
        return cost


def _pruned(trial: optuna.Trial, reason: str) -> optuna.TrialPruned:
    from optuna import TrialPruned

    trial.set_user_attr("pruned", reason)
    return TrialPruned(reason)


def _values(cost: Estimate, score: float) -> dict[str, float]:
    return {
        "accuracy": score,
        "latency": cost.latency_ms,
        "ram": float(cost.firmware_ram_bytes),
        "flash": float(cost.firmware_flash_bytes),
    }


def _costs(objectives: Sequence[str], values: dict[str, float]) -> list[float]:
    """Values as costs: what is to be large negated."""
    return [-values[name] if OBJECTIVES[name] else values[name] for name in objectives]


def _require_hope(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Optuna's callback after a `trial`: FitError after too many pruned ones in a row."""
    last = ended(study, "COMPLETE", "PRUNED")[-_HOPELESS_IN_A_ROW:]
    if len(last) == _HOPELESS_IN_A_ROW and all(one.state.name == "PRUNED" for one in last):
        raise FitError(
            f"{_HOPELESS_IN_A_ROW} networks in a row were hopeless, the last: {last[-1].user_attrs.get('pruned')}; "
            "allow a smaller --alpha or --input-size, or more latency and memory"
        )


def _result(study: optuna.Study, storage: str, objectives: tuple[str, ...]) -> Search:
    done = ended(study, "COMPLETE")
    best = front([_costs(objectives, trial.user_attrs["found"]["values"]) for trial in done])
    found = tuple(
        Found(
            **{
                "cycle_model": "cost model of an earlier tinydeploy",
                **trial.user_attrs["found"],
                "build": tuple(trial.user_attrs["found"]["build"]),
                "on_front": kept,
            }
        )
        for trial, kept in zip(done, best, strict=True)
    )
    pruned = ended(study, "PRUNED")
    reason = str(pruned[-1].user_attrs.get("pruned", "")) if pruned else ""
    return Search(study.study_name, without_password(storage), objectives, found, len(pruned), reason)
