"""Ways to reach a device: a serial port, or a virtual board in this process.

A transport only moves bytes and keeps time. Its clock is the device's world: real for a port, emulated for a virtual
board, so that timeouts mean the same on both and a virtual run is deterministic.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from tinydeploy.errors import LinkError

if TYPE_CHECKING:
    from tinydeploy.virtual import Call, VirtualBoard

DEFAULT_BAUD = 115_200
# What a port that has gone raises: where there are terminals, flushing it raises an error of theirs.
_GONE: tuple[type[Exception], ...] = (OSError,)
if sys.platform != "win32":
    import termios

    _GONE = (OSError, termios.error)
_WRITE_TIMEOUT_S = 3.0  # a port that takes nothing for so long has nobody behind it


class Transport(Protocol):
    """What a session needs. ``name`` is how a message to the user calls the device."""

    name: str
    baud: int

    def write(self, data: bytes) -> None:
        """Sends all of `data`, in order; may return before it is on the wire."""

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        """The bytes that are there, at most `max_bytes`, waiting up to `timeout_s` for the first; else empty."""

    def now_s(self) -> float:
        """Seconds since some beginning, on the clock that `read` waits by."""

    def set_baud(self, baud: int) -> None:
        """Goes on at `baud`; what was written and is not on the wire yet is lost."""

    def close(self) -> None:
        """Gives the device back."""


class SerialTransport:
    """A serial port or pseudo-terminal at `port`, 8N1. Raises LinkError when it cannot be opened."""

    def __init__(self, port: str, baud: int = DEFAULT_BAUD) -> None:
        import serial  # pyserial takes 40 ms to import, and --help needs none of it

        self.name = port
        self.baud = baud
        try:
            self._port = serial.Serial(port, baud, timeout=0, write_timeout=_WRITE_TIMEOUT_S, exclusive=True)
            self._port.reset_input_buffer()
        except (OSError, ValueError) as error:  # pyserial's SerialException is an OSError
            raise LinkError(_why_not_opened(port, baud, error)) from error

    def write(self, data: bytes) -> None:
        """Sends all of `data`; LinkError when the port has gone, or takes no more."""
        import serial

        with self._gone():
            try:
                self._port.write(data)
            except serial.SerialTimeoutException as error:
                raise LinkError(
                    f"{self.name} takes no more bytes, so nothing reads them; reset the board, or plug it in again"
                ) from error

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        """What has arrived, waiting up to `timeout_s` for the first byte; LinkError when the port has gone."""
        with self._gone():
            self._port.timeout = timeout_s
            data: bytes = self._port.read(1)
            if data and (waiting := self._port.in_waiting):
                data += self._port.read(min(waiting, max_bytes - 1))
            return data

    def now_s(self) -> float:
        """The host's monotonic clock."""
        return time.monotonic()

    def set_baud(self, baud: int) -> None:
        """Sets the port's rate; LinkError when it has gone or knows no such rate."""
        with self._gone():
            self._port.reset_output_buffer()  # what is not sent yet would be garbled; waiting for it may take forever
            try:
                self._port.baudrate = baud
            except ValueError as error:
                raise LinkError(f"{self.name} does not take {baud:,} baud ({error}); choose a lower rate") from error
        self.baud = baud

    def close(self) -> None:
        """Closes the port; a port that has gone is closed already."""
        with contextlib.suppress(OSError):
            self._port.close()

    @contextlib.contextmanager
    def _gone(self) -> Iterator[None]:
        try:
            yield
        except _GONE as error:
            raise LinkError(
                f"{self.name} went away while it was in use ({_reason(error)}); plug the board in again and retry"
            ) from error


class VirtualTransport:
    """A virtual board in this thread: its time passes only inside :meth:`read`."""

    def __init__(self, board: VirtualBoard, baud: int = DEFAULT_BAUD, name: str = "the virtual board") -> None:
        self.name = name
        self.baud = baud
        self.board = board
        self._received = b""

    def write(self, data: bytes) -> None:
        """Puts `data` on the line; it arrives at the baud rate as virtual time passes."""
        self.board.uart_send(data)

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        """What the firmware has sent, running it for up to `timeout_s` of virtual time until it sends something.

        Raises FirmwareFaultError where silicon would have faulted.
        """
        self._received += self.board.uart_receive()
        if not self._received:
            self.board.run(timeout_s, until_output=True)
            self._received = self.board.uart_receive()
        data, self._received = self._received[:max_bytes], self._received[max_bytes:]
        return data

    def now_s(self) -> float:
        """Virtual seconds since the board's reset."""
        return self.board.time_s

    def set_baud(self, baud: int) -> None:
        """What is on the line still arrives, garbled, as on a real one."""
        self.board.line_baud = self.baud = baud

    def take_calls(self) -> list[Call]:
        """The watched calls that have returned since last asked."""
        return self.board.take_calls()

    def close(self) -> None:
        """Ends the emulation."""
        self.board.close()


def _number(error: Exception) -> int | None:
    """The errno of `error`; pyserial often leaves it in the message only."""
    number = getattr(error, "errno", None)
    found = re.search(r"\[Errno (\d+)\]|\((\d+), '", str(error))
    return number if number or not found else int(found[1] or found[2])


def _reason(error: Exception) -> str:
    """The system's words for `error`, without pyserial's decoration."""
    number = _number(error)
    return os.strerror(number) if number else str(error)


def _why_not_opened(port: str, baud: int, error: OSError | ValueError) -> str:
    number = _number(error)
    if number == errno.ENOENT:
        return f"there is no port {port}; {_known_ports()}"
    if number in (errno.EACCES, errno.EPERM):
        return (
            f"no permission to open {port}; join the group that owns it (often: sudo usermod -aG dialout $USER), "
            "then log in again"
        )
    if number in (errno.EBUSY, errno.EAGAIN):
        return f"{port} is in use by another program; close that program (a serial monitor?) and retry"
    if number in (errno.ENOTTY, errno.EISDIR, errno.ENODEV, errno.EINVAL, errno.EIO):
        return f"{port} is not a serial port ({_reason(error)}); {_known_ports()}"
    return f"{port} cannot be opened at {baud:,} baud ({_reason(error)}); {_known_ports()}"


def _known_ports() -> str:
    """What the user may type instead."""
    from serial.tools import list_ports

    ports = [port.device for port in list_ports.comports() if port.vid is not None]
    if not ports:
        return "no USB serial port is connected; plug the board in, or name no port to use the virtual board"
    return f"the USB serial ports here: {', '.join(sorted(ports))}"
