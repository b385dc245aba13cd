"""Serial ports of this machine: which board is behind each, who may open it, and who has it open.

What Linux tells in /proc is left out on other systems, where nobody is found.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.boards import Board
from tinydeploy.errors import LinkError

UDEV_FILE = "/etc/udev/rules.d/70-tinydeploy.rules"


@dataclass(frozen=True, slots=True)
class Port:
    """A port by its path. ``usb_id`` ("0483:374b"), ``product`` and ``serial_number`` are None where it is not USB."""

    device: str
    usb_id: str | None = None
    product: str | None = None
    serial_number: str | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a port open."""

    pid: int
    name: str


def usb_ports() -> tuple[Port, ...]:
    """Every USB serial port, by path."""
    from serial.tools import list_ports

    found = [
        Port(port.device, f"{port.vid:04x}:{port.pid:04x}", port.product, port.serial_number)
        for port in list_ports.comports()
        if port.vid is not None
    ]
    return tuple(sorted(found, key=lambda port: port.device))


def port_at(device: str) -> Port:
    """What is known of the port `device`, under whichever of its names."""
    real = os.path.realpath(device)
    return next((port for port in usb_ports() if port.device in (device, real)), Port(device))


def the_port(boards: Sequence[Board]) -> Port:
    """The one USB port that a board is behind; LinkError when there is none, or a choice."""
    found = usb_ports()
    likely = [port for port in found if boards_behind(port, boards)] or list(found)
    if len(likely) == 1:
        return likely[0]
    if not likely:
        raise LinkError(
            "no USB serial port is connected; plug the board in, or give a port such as that of tinydeploy emulate"
        )
    raise LinkError(f"there are {', '.join(port.device for port in likely)}; say which one")


def boards_behind(port: Port, boards: Sequence[Board]) -> tuple[str, ...]:
    """The names of `boards` whose debug probe, or own USB port, calls itself as `port` does."""
    return tuple(board.name for board in boards if port.usb_id in board.usb_ids)


def again(port: Port) -> str | None:
    """Where `port` is now, after the cable was put back: perhaps under another name; None while it is gone."""
    if port.serial_number is not None:
        for now in usb_ports():
            if (now.usb_id, now.serial_number) == (port.usb_id, port.serial_number):
                return now.device
        return None
    return port.device if Path(port.device).exists() else None


def refused_by(device: str) -> str | None:
    """The group that may open `device` where this user may not; None where nothing hinders."""
    path = Path(device)
    if os.access(path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        return None
    try:
        return path.group()
    except (OSError, KeyError):  # a group without a name
        return "dialout"


def holders(device: str) -> tuple[Holder, ...]:
    """The other processes that have `device` open, as far as this user may see. The one that serves a pseudo-terminal,
    which has the master too, is none."""
    real = os.path.realpath(device)
    found = []
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        if int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            opened = {str(link.readlink()) for link in (folder / "fd").iterdir()}
            if real in opened and not opened & {"/dev/ptmx", "/dev/pts/ptmx"}:
                found.append(Holder(int(folder.name), (folder / "comm").read_text("utf-8").strip()))
    return tuple(found)


def udev_rules(boards: Sequence[Board]) -> str:
    """Rules for :data:`UDEV_FILE`: whoever sits at the machine may use the ports and debug probes of `boards`."""
    ids = sorted({usb_id for board in boards for usb_id in board.usb_ids})
    lines = ["# From `tinydeploy doctor --udev-rules`: serial ports and debug probes for whoever sits at the machine."]
    for vendor, product in (usb_id.split(":") for usb_id in ids):
        match = f'ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}"'
        lines.append(f'SUBSYSTEM=="tty", {match}, MODE="0660", TAG+="uaccess"')
        lines.append(f'SUBSYSTEM=="usb", {match}, MODE="0660", TAG+="uaccess"')
    return "\n".join(lines) + "\n"
