"""What a search draws from: networks and settings of training, and the command that builds what was drawn."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinydeploy import zoo
from tinydeploy.arithmetic import require_possible
from tinydeploy.boards import Board
from tinydeploy.errors import FitError, UsageError
from tinydeploy.job import Job
from tinydeploy.sweep import grid

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True)
class Space:
    """What is searched: networks, and the settings that `job` leaves open. Lists must not be empty."""

    archs: tuple[str, ...]
    alphas: tuple[float, ...]
    sizes: tuple[tuple[int, int], ...]
    options: tuple[tuple[str, str], ...]
    job: Job

    def draw(self, trial: optuna.Trial) -> Job:
        """One network with its settings, as `trial` suggests."""
        arch = _choose(trial, "arch", self.archs)
        alpha = _choose(trial, "alpha", self.alphas)
        size = zoo.read_size(_choose(trial, "input-size", tuple(zoo.size_option(*size) for size in self.sizes)))
        fixed = dict(self.options)
        chosen: list[tuple[str, str]] = []
        for option in zoo.architecture(arch).options:
            value = fixed.get(option.name) or _choose(trial, f"{arch} {option.name}", option.choices)
            chosen += [(option.name, value)] if value != option.default else []
        method = self.job.method
        free: dict[str, Any] = {}
        if method.learning_rate is None:
            free["learning_rate"] = float(f"{trial.suggest_float('learning-rate', 1e-3, 5e-2, log=True):.2g}")
        for name, most, step in (("weight_decay", 0.1, 0.02), ("label_smoothing", 0.2, 0.05), ("crop", 0.2, 0.05)):
            if getattr(method, name) is None:
                free[name] = round(trial.suggest_float(name.replace("_", "-"), 0, most, step=step), 3)
        return dataclasses.replace(
            self.job,
            arch=arch,
            alpha=alpha,
            input_size=size,
            options=tuple(chosen),
            method=dataclasses.replace(method, **free),
        )

    def require_sense(self, board: Board) -> None:
        """UsageError or FitError where a value is out of range, or not one of the networks can be."""
        specs = grid(self.archs, self.alphas, self.sizes, channels=self.job.channels, options=self.options)
        first: UsageError | FitError | None = None
        for spec in specs:
            try:
                require_possible(spec, board)
                return
            except (UsageError, FitError) as error:
                first = first or error
        assert first is not None
        raise first

    def text(self) -> str:
        """All of it but the data's place, as text: who joins must search the same."""
        job = dataclasses.replace(self.job, data=None)
        return repr((self.archs, self.alphas, self.sizes, self.options, job))


def build_arguments(board: Board, job: Job) -> tuple[str, ...]:
    """What ``tinydeploy build`` takes for the network and the training of `job`: it finds them in the cache."""
    assert job.input_size is not None
    named = {
        "board": board.name,
        "arch": job.arch,
        "alpha": job.alpha,
        "input-size": zoo.size_option(*job.input_size),
        "channels": job.channels,
        **dict(job.options),
        "dataset": job.dataset,
        "data": job.data,
        "seed": job.seed or None,
        **{name.replace("_", "-"): getattr(job.method, name) for name in job.method.__dataclass_fields__},
    }
    flags = {"qat": job.method.qat, "skip-corrupt": job.skip_corrupt}
    flip = job.method.flip
    arguments = [f"--{name}" for name, given in flags.items() if given]
    arguments += [] if flip is None else ["--flip" if flip else "--no-flip"]
    for name, value in named.items():
        if value is not None and name not in (*flags, "flip"):
            arguments += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
    return tuple(arguments)


def _choose(trial: optuna.Trial, name: str, choices: tuple[Any, ...]) -> Any:
    return trial.suggest_categorical(name, choices) if len(choices) > 1 else choices[0]
