"""What the firmware prints, as it comes, through resets and pulled cables.

Frames are passed over, and noise becomes a note of its length, so that nothing reaches the terminal but text.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from tinydeploy.errors import LinkError
from tinydeploy.ports import Port, again
from tinydeploy.protocol import Decoder, Event, Garbage, Text
from tinydeploy.transport import SerialTransport

_IDLE_S = 0.25  # after which the rest of a line is shown as it is
_LOOK_AGAIN_S = 0.2


class Printer:
    """Events as text for a terminal: lines keep their ends, and a note begins a line of its own."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._line_open = False

    def show(self, event: Event) -> None:
        """One event; frames are not shown."""
        if isinstance(event, Text):
            text = event.text.replace("\r", "")
            self._write(text)
            self._line_open = bool(text) and not text.endswith("\n")
        elif isinstance(event, Garbage):
            self.note(f"{len(event.raw):,} B that are no text")

    def note(self, text: str) -> None:
        """Something that the device did not print."""
        self._write("\n" * self._line_open + f"[{text}]\n")
        self._line_open = False


def monitor(port: Port, baud: int, write: Callable[[str], None], stop: Callable[[], bool] = lambda: False) -> None:
    """Show what comes from `port` until `stop()` or Ctrl-C (KeyboardInterrupt). LinkError when it cannot be opened at
    first; later it is waited for, under whichever name it comes back."""
    printer = Printer(write)
    transport = SerialTransport(port.device, baud)
    while not stop():
        with contextlib.closing(transport), contextlib.suppress(LinkError):
            _show(transport, printer, stop)
        if stop():
            return
        printer.note(f"{port.device} went away; waiting for it to come back, Ctrl-C ends this")
        found = _wait_for(port, baud, stop)
        if found is None:
            return
        transport = found
        printer.note(f"{transport.name} is back")


def _show(transport: SerialTransport, printer: Printer, stop: Callable[[], bool]) -> None:
    """Until the port goes away (LinkError) or `stop()`."""
    decoder = Decoder()
    while not stop():
        data = transport.read(4096, _IDLE_S)
        for event in decoder.feed(data) if data else decoder.flush():
            printer.show(event)


def _wait_for(port: Port, baud: int, stop: Callable[[], bool]) -> SerialTransport | None:
    """The port, open again; None when stopped."""
    while not stop():
        if (device := again(port)) is not None:
            with contextlib.suppress(LinkError):  # a moment long it is there and cannot be opened yet
                return SerialTransport(device, baud)
        time.sleep(_LOOK_AGAIN_S)
    return None
