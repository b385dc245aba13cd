"""The monitor: text passes, noise and frames do not, and a port may go away and come back under the same name."""

from __future__ import annotations

import os
import pty
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tinydeploy.errors import LinkError
from tinydeploy.monitor import Printer, monitor
from tinydeploy.ports import Port
from tinydeploy.protocol import Decoder, Frame, encode_frame

WAIT_S = 60.0


def shown(*pieces: bytes) -> str:
    out: list[str] = []
    printer, decoder = Printer(out.append), Decoder()
    for piece in pieces:
        for event in decoder.feed(piece) if piece else decoder.flush():
            printer.show(event)
    return "".join(out)


def test_lines_come_as_they_were_printed() -> None:
    assert shown(b"one\r\ntw", b"o\r\n") == "one\ntwo\n"


def test_the_rest_of_a_line_comes_when_nothing_follows() -> None:
    assert shown(b"half", b"", b" a line\n") == "half a line\n"


def test_frames_are_passed_over() -> None:
    assert shown(b"before\n" + encode_frame(Frame(0x81, 1, 2, b"payload")) + b"after\n") == "before\nafter\n"


def test_noise_is_a_note_on_its_own_line() -> None:
    """Nothing that steers a terminal gets through."""
    assert shown(b"half\0", b"\x1b[2J\xff\0", b"next\n") == "half\n[5 B that are no text]\nnext\n"


@contextmanager
def plugged(name: Path) -> Iterator[int]:
    """A pseudo-terminal under the path `name`, which goes away with it; the descriptor of its other end."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    new = name.with_name("new")
    new.symlink_to(os.ttyname(slave))
    new.replace(name)
    os.close(slave)
    try:
        yield master
    finally:
        name.unlink()
        os.close(master)


def test_the_cable_may_be_pulled_and_put_back(tmp_path: Path) -> None:
    name = tmp_path / "port"
    out: list[str] = []
    done = threading.Event()

    def seen(text: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while text not in "".join(out):
            assert time.monotonic() < deadline, out
            time.sleep(0.01)

    def watch() -> None:
        monitor(Port(str(name)), 115_200, out.append, done.is_set)

    watcher = threading.Thread(target=watch)
    with plugged(name) as device:
        watcher.start()
        deadline = time.monotonic() + WAIT_S
        while "first" not in "".join(out):  # what comes before the port is open is thrown away
            os.write(device, b"first\n")
            time.sleep(0.01)
            assert time.monotonic() < deadline
    seen(f"[{name} went away")
    with plugged(name) as device:
        seen(f"[{name} is back]")
        os.write(device, b"second\n")
        seen("second\n")
        done.set()
        watcher.join(WAIT_S)
    assert not watcher.is_alive()


def test_a_port_that_was_never_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="there is no port"):
        monitor(Port(str(tmp_path / "none")), 115_200, print)
