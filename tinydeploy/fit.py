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


def largest_first(items: Iterable[tuple[str, int]], count: int) -> tuple[tuple[str, int], ...]:
    """The `count` largest of `items` (name, bytes), largest first, equal ones by name."""
    return tuple(sorted(items, key=lambda item: (-item[1], item[0]))[:count])


def fit_error(
    what: str,
    needs_bytes: int,
    board_name: str,
    has_bytes: int,
    memory: Literal["flash", "ram"],
    contributors: Iterable[tuple[str, int]],
    advice: str = "",
) -> FitError:
    """The error: `what` needs, the board has, the three largest of `contributors` (name, bytes), and what to try."""
    word = "RAM" if memory == "ram" else "flash"
    largest = ", ".join(f"{name} ({size:,} B)" for name, size in largest_first(contributors, 3))
    return FitError(
        f"{what} needs {needs_bytes:,} B of {word}, {board_name} has {has_bytes:,} B"
        + (f"; largest: {largest}" if largest else "")
        + f". {advice or f'{_ADVICE} {word}'}."
    )


def require_fit(
    what: str,
    needs_bytes: int,
    board_name: str,
    has_bytes: int,
    memory: Literal["flash", "ram"],
    contributors: Iterable[tuple[str, int]],
    advice: str = "",
) -> None:
    """Raise FitError if `needs_bytes` is more than `has_bytes`; `contributors` are (name, bytes) in any order."""
    if needs_bytes > has_bytes:
        raise fit_error(what, needs_bytes, board_name, has_bytes, memory, contributors, advice)
