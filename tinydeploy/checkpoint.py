"""Where a training stands, on disk: an interrupted one goes on from there, and ends as if it had never stopped.

Everything random is drawn anew from the seed and the step's number, so that weights, optimizer state and the position
are the whole state.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.files import write_if_changed

Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the training history: mean loss, learning rate at its end, accuracy on the validation split."""

    loss: float
    learning_rate: float
    validation_accuracy: float


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """`step` steps of epoch number `epoch` (from 0) are done, with a sum of `loss` so far; `variables` are all that a
    step changes. `best` are the weights of epoch `best_epoch`, empty unless the training may stop early."""

    epoch: int
    step: int
    loss: float
    history: tuple[Epoch, ...]
    variables: Arrays
    best_epoch: int = -1
    best: Arrays = field(default=())


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The `file` of one training. `key` digests everything that the training depends on: a file of another is none."""

    file: Path
    key: str

    def load(self) -> Position | None:
        """Where the training stands; None where nothing was saved, or for another training, or it is damaged."""
        try:
            with np.load(self.file, allow_pickle=False) as stored:
                facts = json.loads(str(stored["facts"]))
                if facts.pop("key") != self.key:
                    return None
                variables = [stored[f"variable{i}"] for i in range(facts.pop("variables"))]
                best = [stored[f"best{i}"] for i in range(facts.pop("best"))]
            history = tuple(Epoch(**epoch) for epoch in facts.pop("history"))
            return Position(**facts, history=history, variables=variables, best=best)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, position: Position) -> None:
        """Replace the file in one go: a crash leaves the former one. Raises OutputError when the disk refuses."""
        facts = {
            "key": self.key,
            "epoch": position.epoch,
            "step": position.step,
            "loss": position.loss,
            "history": [asdict(epoch) for epoch in position.history],
            "variables": len(position.variables),
            "best_epoch": position.best_epoch,
            "best": len(position.best),
        }
        arrays: dict[str, Any] = {f"variable{i}": array for i, array in enumerate(position.variables)}
        arrays |= {f"best{i}": array for i, array in enumerate(position.best)}
        content = io.BytesIO()
        np.savez(content, facts=np.array(json.dumps(facts)), **arrays)
        write_if_changed(self.file, content.getvalue())
