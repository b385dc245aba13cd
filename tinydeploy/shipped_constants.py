"""The files of constants that ship for chips, and what follows from them, without the virtual board's extras.

docs/SILICON.md tells what is in them.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILES = tuple(sorted((Path(__file__).parent / "virtual" / "silicon").glob("*.toml")))


@functools.cache
def shipped_constants(part: str) -> tuple[str, Mapping[str, Any]] | None:
    """The name and what is in the file of the chip whose part number is `part`; None where none was calibrated."""
    tables = ((path.stem, tomllib.loads(path.read_text("utf-8"))) for path in FILES)
    return next(((name, values) for name, values in tables if part.startswith(values["chip"])), None)


def ram_miss_cycles(core: str, miss_cycles: float, wait_states: int) -> float:
    """Cycles of a miss in RAM on a chip where one in flash costs `miss_cycles`.

    A Cortex-M7's cache is before both, and a line from RAM lacks the flash's wait states; no other core's cache has RAM
    behind it.
    """
    return max(0.0, miss_cycles - wait_states) if core == "m7" else 0.0
