"""What a build spends on, as --optimize names it."""

from __future__ import annotations

from typing import Literal, get_args

Optimize = Literal["speed", "balanced", "ram", "flash"]
OPTIMIZE: tuple[Optimize, ...] = get_args(Optimize)
