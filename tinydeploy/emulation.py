"""A project's firmware on the virtual board, by the constants that were asked for.

Constants of one's own (``tinydeploy calibrate``) are named with ``--silicon``, or go along with a project in its
folder ``calibration``, where ``build --silicon`` puts them. Without any, those that ship for the chip hold, or its
core's rules.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.boards import Board, project_board
from tinydeploy.errors import UsageError
from tinydeploy.project import Project

if TYPE_CHECKING:
    from tinydeploy.virtual import VirtualBoard
    from tinydeploy.virtual.models.silicon import Silicon

CALIBRATION = "calibration"


def emulated(project: Project, constants: Path | Silicon | None = None) -> VirtualBoard:
    """The virtual board with the project's firmware, its cycles by `constants` or else as the project has it."""
    from tinydeploy.virtual import VirtualBoard

    board = project_board(project.folder, project.board)
    if isinstance(constants, Path | None):
        constants = chosen_silicon(project.folder, board, constants)
    return VirtualBoard(board, project.elf, cycles=constants or "shipped")


def chosen_silicon(folder: Path, board: Board, constants: Path | None) -> Silicon | None:
    """The constants in that file, else those that went along with the project in `folder`, which is for `board`; None
    for those that ship."""
    own = constants or next(iter(sorted((folder / CALIBRATION).glob("*.toml"))), None)
    return None if own is None else read_constants(own, board)


def read_constants(path: Path, board: Board) -> Silicon:
    """The constants in `path`. BoardError where they cannot be read, UsageError where they are not of `board`'s chip
    at its clock."""
    found = of_chip(path, board.name, board.part, board.core.name)
    clock = board.clock
    if (found.core_hz, found.wait_states) != (clock.hclk_hz, clock.flash_wait_states):
        raise UsageError(
            f"{path} is of {found.core_hz / 1e6:g} MHz and {found.wait_states} flash wait states, but {board.name} "
            f"runs at {clock.hclk_hz / 1e6:g} MHz with {clock.flash_wait_states}; calibrate at that clock"
        )
    return found


def of_chip(path: Path, board: str, part: str, core: str) -> Silicon:
    """The same at any clock: foreign firmware sets its own."""
    from tinydeploy.virtual.silicon_file import read_silicon

    found = read_silicon(path)
    if not part.startswith(found.chip) or found.core != core:
        raise UsageError(f"{path} is of the {found.chip}, but {board} has a {part}; name constants of that chip")
    return found
