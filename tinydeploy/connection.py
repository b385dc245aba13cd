"""A project's device as a session: a board at a serial port, or the virtual board with the project's firmware."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.boards import project_board
from tinydeploy.emulation import emulated
from tinydeploy.image import read_image
from tinydeploy.project import Project
from tinydeploy.session import Session
from tinydeploy.transport import SerialTransport, Transport, VirtualTransport

if TYPE_CHECKING:
    from tinydeploy.virtual.models.silicon import Silicon


@contextlib.contextmanager
def connected(
    project: Project,
    port: str | None = None,
    *,
    on_text: Callable[[str], None] | None = None,
    constants: Path | Silicon | None = None,
) -> Iterator[Session]:
    """A session with the device at `port`, or with a virtual board that boots the project's firmware.

    `on_text` hears what the device prints beside its answers, line by line; `constants` are for the virtual board's
    cycles, as in ``emulation.emulated``.
    """
    board = project_board(project.folder, project.board)
    transport: Transport
    place_input = None
    if port is None:
        virtual = emulated(project, constants)
        transport = VirtualTransport(virtual, board.uart.baud)
        # A streamed input stands in the firmware's own buffer, any other in the arena.
        offset = project.input.offset_bytes
        home = read_image(project.elf).symbol("streamed_input" if offset is None else "arena")
        if home is not None:
            place_input = functools.partial(virtual.poke, home.address + (offset or 0))
    else:
        transport = SerialTransport(port, board.uart.baud)
    session = Session(
        transport,
        on_text=None if on_text is None else lambda line: on_text(line.rstrip()),
        place_input=place_input,
    )
    try:
        yield session
    finally:
        session.close()
