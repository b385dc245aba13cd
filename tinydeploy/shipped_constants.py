"""The files of constants that ship for chips, read without the virtual board's extras (docs/SILICON.md)."""

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
