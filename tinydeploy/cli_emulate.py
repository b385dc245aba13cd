"""The command ``emulate``: a project's firmware, or anybody's, on the virtual board with its UART as a port."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinydeploy.cli_files import SILICON
from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from tinydeploy.virtual import VirtualBoard


@click.command(short_help="Boot a project's firmware, or any other, on the virtual board.")
@click.argument("what", required=False, type=click.Path(path_type=Path))
@click.option("--board", help="Run the file WHAT, firmware that tinydeploy did not build, on this board.")
@click.option("--baud", type=click.IntRange(300, 12_000_000), help="The port's baud rate until its user sets another.")
@click.option("--gdb", "gdb_port", type=click.IntRange(0, 65535), help="Serve GDB on this TCP port; it waits for GDB.")
@SILICON
def emulate(
    what: Path | None, board: str | None, baud: int | None, gdb_port: int | None, constants: Path | None
) -> None:
    """Boot firmware on the virtual board, its UART a pseudo-terminal.

    WHAT is a project's folder, or with --board a firmware file: .elf, .hex, or .bin for the start of the flash. What
    the chip's model does not have, and which of the manual's rules the firmware breaks, is told once each.
    """
    from tinydeploy.virtual.gdb import DebuggedBoard
    from tinydeploy.virtual.pty import serve

    if board is None:
        if what is not None and what.is_file():
            raise UsageError(f"{what} is a file: name the board that runs it, as in --board stm32f746 {what}")
        device, file, lines = _project(what, constants)
    elif what is None:
        raise UsageError(f"--board {board} runs a firmware file: name it, such as firmware.elf")
    elif what.is_dir():
        raise UsageError(f"{what} is a folder: a project knows its board, leave --board away")
    else:
        device, file, lines = _foreign(board, what, constants)
    if baud is not None:
        device.line_baud = baud
    debugged = None if gdb_port is None else DebuggedBoard(device, gdb_port, wait=True)

    def announce(port: str) -> None:
        for line in lines:
            click.echo(line.format(port=port))
        if debugged is not None:
            click.echo(f'it waits for GDB: gdb-multiarch {file} -ex "target remote :{debugged.port}"')

    with contextlib.suppress(KeyboardInterrupt):
        serve(debugged or device, announce)


def _project(folder: Path | None, constants: Path | None) -> tuple[VirtualBoard, Path, tuple[str, ...]]:
    from tinydeploy.emulation import emulated
    from tinydeploy.project import find_project

    found = find_project(folder)
    device = emulated(found, constants)
    return (
        device,
        found.elf,
        (
            f"{found.board} runs {found.model_name}; its UART is {{port}}",
            f"its time: {device.cycle_model}",
            f"in another terminal: tinydeploy bench {{port}} --project {found.folder}    (Ctrl-C ends this)",
        ),
    )


def _foreign(name: str, file: Path, constants: Path | None) -> tuple[VirtualBoard, Path, tuple[str, ...]]:
    from tinydeploy.emulation import of_chip
    from tinydeploy.virtual import VirtualBoard
    from tinydeploy.virtual.wiring import setup_named

    setup = setup_named(name)
    device = VirtualBoard(
        setup,
        file,
        cycles=of_chip(constants, name, setup.chip.part, setup.core.name) if constants else "shipped",
        strict=False,
        on_fault="vector",
        told=lambda note: click.echo(f"note: {note}", err=True),
    )
    lines = (f"{name} runs {file.name}; its UART is {{port}}    (Ctrl-C ends this)", f"its time: {device.cycle_model}")
    return device, file, lines
