"""Cycle models, one file per core: what a sequence of decoded blocks costs."""

from __future__ import annotations

from typing import Protocol

from tinydeploy.cores import Core
from tinydeploy.errors import ToolchainError
from tinydeploy.virtual.decode import Block
from tinydeploy.virtual.models import m0plus, m4, m7, m33


class CycleModel(Protocol):
    """Estimates cycles. ``name`` is short; ``statement`` says by what rules, with what wait states."""

    name: str
    statement: str
    exception_entry: int  # cycles from the interrupted instruction to the handler's first
    exception_return: int  # cycles from EXC_RETURN to the next instruction of the interrupted code

    def cycles(self, previous: Block | None, block: Block) -> float:
        """Cycles of one execution of `block`, entered from `previous` (None: after an exception or at the start).

        A taken branch from `previous` to `block` is charged here, as is what the last instructions of `previous` leave
        in the pipeline. At least 0.
        """

    def prefix(self, block: Block, count: int) -> float:
        """Cycles of the first `count` instructions of `block`: places an access within its block."""


_MODELS: dict[str, type[m0plus.CortexM0Plus | m4.CortexM4 | m7.CortexM7]] = {
    "m33": m33.CortexM33,
    "m0plus": m0plus.CortexM0Plus,
    "m4": m4.CortexM4,
    "m7": m7.CortexM7,
}


def model_for(core: Core) -> CycleModel:
    """The cycle model of `core`."""
    if core.name not in _MODELS:
        raise ToolchainError(f"the virtual board has no cycle model of the {core.title} yet; use {', '.join(_MODELS)}")
    return _MODELS[core.name]()
