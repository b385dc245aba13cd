"""A sweep with training: what the networks of a grid reach, and which of them are worth having."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.arithmetic import Estimate
from tinydeploy.job import Job, Stage, obtain
from tinydeploy.pareto import front
from tinydeploy.progress import Watcher
from tinydeploy.sweep import Refused
from tinydeploy.zoo import ModelSpec


@dataclass(frozen=True, slots=True)
class Score:
    """What a network reaches on the test samples; `measure` is accuracy or AUC.

    `on_front`: it fits the board, and no other that fits is as good in int8 score, latency and RAM and better in one.
    """

    measure: str
    float_score: float
    int8_score: float
    on_front: bool = False


def job_for(job: Job, spec: ModelSpec) -> Job:
    """`job` for the network `spec`, as `build` would name it: both find the same training in the cache."""
    size = (spec.input_size, spec.input_width)
    return dataclasses.replace(job, arch=spec.arch, alpha=spec.alpha, input_size=size, options=spec.options)


def score(
    points: Sequence[Estimate | Refused], job: Job, cache: Path, *, progress: Watcher, stage: Stage
) -> tuple[Score | None, ...]:
    """Train each of `points` as `job` says; None for those that are refused.

    Each is kept in `cache` as soon as it is trained, and an interrupted one goes on from its checkpoint.
    """
    found: list[Score | None] = []
    for number, point in enumerate(points, start=1):
        if isinstance(point, Refused):
            found.append(None)
            continue
        stage(f"network  {number} of {len(points)}: {point.spec.name}")
        trained = obtain(job_for(job, point.spec), cache, progress=progress, stage=stage)
        found.append(Score(trained.measure, trained.float_score, trained.int8_score))
    return _with_front(points, found)


def _with_front(points: Sequence[Estimate | Refused], scores: Sequence[Score | None]) -> tuple[Score | None, ...]:
    fitting = [
        (i, (-one.int8_score, point.latency_ms, float(point.firmware_ram_bytes)))
        for i, (point, one) in enumerate(zip(points, scores, strict=True))
        if isinstance(point, Estimate) and one is not None and point.fits
    ]
    chosen = {i for (i, _), kept in zip(fitting, front([cost for _, cost in fitting]), strict=True) if kept}
    return tuple(
        None if one is None else dataclasses.replace(one, on_front=i in chosen) for i, one in enumerate(scores)
    )
