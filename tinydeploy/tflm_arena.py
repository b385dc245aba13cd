"""How large an arena the interpreter needs: asked of the firmware itself, on the virtual board.

TFLM plans its arena on the device, and nothing but TFLM on that core can say how large it must be (its host build has
pointers of another size). So the firmware is built with all the RAM there is, boots, tries, and leaves the answer in
memory.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tinydeploy.boards import Board
from tinydeploy.errors import FirmwareFaultError, FitError
from tinydeploy.firmware import write_project
from tinydeploy.placement import largest_arena_bytes
from tinydeploy.tflm import Arena
from tinydeploy.toolchain import build_project

# For what the interpreter keeps beside its arena.
_SPARE_BYTES = 4 * 1024
_BOOT_S = 30.0  # of virtual time


def measure_arena(sources: Callable[[Arena], Mapping[str, str | bytes]], board: Board) -> Arena:
    """The smallest arena of the model that `sources` makes a project of, and its input's place in it.

    Raises FitError where the board's RAM is too little, ToolchainError where the project cannot be built.
    """
    from tinydeploy.virtual import VirtualBoard

    most = largest_arena_bytes(board) - _SPARE_BYTES
    with tempfile.TemporaryDirectory() as folder:
        write_project(sources(Arena(most)), board, Path(folder))
        image = build_project(Path(folder), "gcc")
        virtual = VirtualBoard(board, image.elf)
        try:
            virtual.run(_BOOT_S, until_output=True)
        except FirmwareFaultError as error:
            raise FitError(
                f"TensorFlow Lite Micro cannot set the model up in an arena of {most:,} B, all that {board.name} has "
                f"({error}); choose a smaller model or a larger board"
            ) from error
        found = []
        for name in ("model_needed_arena_bytes", "model_input_offset"):
            symbol = image.symbol(name)
            assert symbol is not None, name
            data = virtual.debugger.read(symbol.address, 4)
            assert data is not None, name
            found.append(int(struct.unpack("<I", data)[0]))
    return Arena(*found)
