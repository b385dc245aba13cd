"""Does it fit? The one message for what is too big, before training, after planning and after linking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tinydeploy.errors import FitError

_ADVICE = "Try --alpha 0.25 or --input-size 48, or a board with more"


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a network needs more of than a board has; `contributors` are (name, bytes)."""

    memory: Literal["flash", "ram"]
    needs_bytes: int
    has_bytes: int
    contributors: tuple[tuple[str, int], ...]


def lacking(
    memory: Literal["flash", "ram"], needs_bytes: int, has_bytes: int, contributors: Iterable[tuple[str, int]]
) -> Shortage | None:
    """The shortage, None where there is enough."""
    return Shortage(memory, needs_bytes, has_bytes, tuple(contributors)) if needs_bytes > has_bytes else None


def largest_first(items: Iterable[tuple[str, int]], count: int) -> tuple[tuple[str, int], ...]:
    """The `count` largest of `items` (name, bytes), largest first, equal ones by name."""
    return tuple(sorted(items, key=lambda item: (-item[1], item[0]))[:count])


def fit_error(what: str, board_name: str, short: Shortage, advice: str = "") -> FitError:
    """The error: `what` needs, the board has, the three largest contributors, and what to try."""
    word = "RAM" if short.memory == "ram" else "flash"
    largest = ", ".join(f"{name} ({size:,} B)" for name, size in largest_first(short.contributors, 3))
    return FitError(
        f"{what} needs {short.needs_bytes:,} B of {word}, {board_name} has {short.has_bytes:,} B"
        + (f"; largest: {largest}" if largest else "")
        + f". {advice or f'{_ADVICE} {word}'}."
    )


def require_fit(what: str, board_name: str, short: Shortage | None) -> None:
    """Raise FitError if there is a shortage."""
    if short is not None:
        raise fit_error(what, board_name, short)
