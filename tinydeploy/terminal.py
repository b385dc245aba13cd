"""Progress on the terminal's standard error: bars where it is a terminal, a line per stage where it is a pipe."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from tinydeploy.progress import Progress

_STAGES = {
    "quantize": "quantize full int8, calibrated on training images",
    "tune": "tune     int8 in the network: its rounding is trained with",
    "evaluate": "evaluate float and int8 on the test images",
}
_QUIET_S = 10.0  # how often a pipe hears of training, or of what is counted


class TrainingBar:
    """The stages of a build, and a bar while a network trains; use as a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar: Bar | None = None
        self._task: int = 0
        self._said = 0.0

    def __enter__(self) -> TrainingBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def stage(self, text: str) -> None:
        """A new part of the work begins."""
        self._end()
        self._console.print(text, markup=False, soft_wrap=True)

    def progress(self, progress: Progress) -> None:
        """A step of training, or what follows it."""
        if progress.stage != "train":
            self.stage(_STAGES[progress.stage])
            return
        if self._console.is_terminal:
            self._draw(progress)
        elif progress.validation_accuracy is not None:
            self._say(progress)

    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = Bar(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                TextColumn("loss {task.fields[loss]} {task.fields[accuracy]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None, epoch="", loss="", accuracy="")
        fields = {
            "epoch": f"{progress.epoch}/{progress.epochs}",
            "loss": f"{progress.loss:.3f}" if progress.loss is not None else "",
        }
        if progress.validation_accuracy is not None:
            fields["accuracy"] = f"validation {100 * progress.validation_accuracy:.1f} %"
        done = (progress.epoch - 1) * progress.steps + progress.step
        self._bar.update(self._task, total=progress.epochs * progress.steps, completed=done, **fields)  # type: ignore[arg-type]

    def _say(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._said < _QUIET_S and progress.epoch < progress.epochs:
            return
        self._said = now
        self._console.print(
            f"  epoch {progress.epoch}/{progress.epochs}: loss {progress.loss:.3f}, "
            f"validation {100 * (progress.validation_accuracy or 0):.1f} %",
            soft_wrap=True,
        )

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class _Lines:
    """Progress for a pipe: where it is and the time left, once it is clear that it takes a while, and now and then."""

    def __init__(self, console: Console, noun: str) -> None:
        self._console = console
        self._noun = noun
        self._began = time.monotonic()
        self._said = -math.inf

    def say(self, done: int, total: int) -> None:
        now = time.monotonic()
        left_s = (now - self._began) / done * (total - done)
        if now - self._said < _QUIET_S or left_s < _QUIET_S:
            return
        self._said = now
        self._console.print(f"  {self._noun} {done:,}/{total:,}, {left_s:.0f} s left", soft_wrap=True)


@contextlib.contextmanager
def counter(noun: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that counts `noun` with the time left, in a pipe a line now and then. Yields the callback (done, total)."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(console, noun).say
        return
    columns = (TextColumn(noun), BarColumn(), TextColumn("{task.fields[done]}"), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, done="")
        yield lambda done, total: bar.update(task, completed=done, total=total, done=f"{done}/{total}")
