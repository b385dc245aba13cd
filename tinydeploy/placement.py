"""Which of a board's memories the model's arena and constants go to: the first of [placement] that has room."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.boards import Board, Memory
from tinydeploy.fit import lacking, require_fit

# What else lies in a RAM beside the arena: variables of the link, the UART's rings and the model's own state.
_FIRMWARE_BYTES = 6 * 1024
_SECTION_ALIGNMENT = 16  # of the model's sections, by the linker script


@dataclass(frozen=True, slots=True)
class Placement:
    """Where arena and weights go, and a sentence each about why, for people. `copies`: where start-up copies weights
    to, all of them or some; None where it copies none."""

    arena: Memory
    weights: Memory
    copies: Memory | None
    reasons: tuple[str, ...]


def _free(board: Board, memory: Memory) -> int:
    taken = board.stack_bytes if memory == board.stack else 0
    return memory.size_bytes - taken - (_FIRMWARE_BYTES if memory == board.ram else 0)


def _choose(
    board: Board, what: str, size_bytes: int, candidates: tuple[Memory, ...], taken: dict[str, int]
) -> tuple[Memory, str]:
    """The first candidate with room beside what is `taken` (bytes by memory), else the last, and the reason."""
    passed: list[str] = []
    for memory in candidates:
        free = _free(board, memory) - taken.get(memory.name, 0)
        if size_bytes <= free or memory == candidates[-1]:
            why = f"; {' and '.join(passed)}" if passed else ""
            return memory, f"{what} of {size_bytes:,} B in {memory.name}{why}"
        passed.append(f"{memory.name} has only {free:,} B left")
    raise AssertionError(candidates)


def place(
    board: Board, arena_bytes: int, constants_bytes: int, copied_bytes: int = 0, copied_to: str | None = None
) -> Placement:
    """The placement for a model whose arena and constants take so much, of which start-up copies `copied_bytes` to the
    memory `copied_to`.

    Raises FitError when the arena fits none of the memories that the board has for it.
    """
    arena, arena_reason = _choose(board, "arena", arena_bytes, board.arena, {})
    sizes = [(f"[{memory.name}]", _free(board, memory)) for memory in board.arena]
    require_fit("the arena", board.name, lacking("ram", arena_bytes, _free(board, arena), sizes))
    weights, weights_reason = _choose(board, "weights", constants_bytes, board.weights, {arena.name: arena_bytes})
    if weights.kind != "flash" or not copied_bytes:
        copies = weights if weights.kind != "flash" else None
        return Placement(arena, weights, copies, (arena_reason, weights_reason))
    copies = next(memory for memory in board.arena if memory.name == copied_to)
    copies_reason = f"copies of {copied_bytes:,} B of weights in {copies.name}, made at start-up"
    return Placement(arena, weights, copies, (arena_reason, weights_reason, copies_reason))


def arena_memory(board: Board, arena_bytes: int) -> Memory:
    """Where an arena of that size goes."""
    return _choose(board, "arena", arena_bytes, board.arena, {})[0]


def rooms(board: Board, arena_bytes: int) -> list[tuple[Memory, int]]:
    """The memories for arenas, the preferred first, and the bytes that each has left beside an arena of that size."""
    arena = arena_memory(board, arena_bytes)
    taken = -(-arena_bytes // _SECTION_ALIGNMENT) * _SECTION_ALIGNMENT
    return [(memory, max(0, _free(board, memory) - (taken if memory == arena else 0))) for memory in board.arena]


def largest_arena_bytes(board: Board) -> int:
    """The largest arena that one of the board's memories has room for, whole up to the next section."""
    return max(_free(board, memory) for memory in board.arena) // _SECTION_ALIGNMENT * _SECTION_ALIGNMENT
