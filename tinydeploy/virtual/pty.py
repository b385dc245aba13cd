"""The virtual board's UART as a pseudo-terminal: to any serial program it is a port."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
import tty
from collections.abc import Callable

from tinydeploy.errors import LinkError
from tinydeploy.virtual.board import VirtualBoard
from tinydeploy.virtual.gdb import DebuggedBoard

_SLICE_S = 0.002  # virtual time between two looks at the terminal
_IDLE_POLL_S = 0.05  # how soon a stop request is seen while the firmware sleeps
_CHUNK_BYTES = 4096
# Linux gives a pseudo-terminal's client speed as a constant, not as a number.
_BAUD_RATES = {
    getattr(termios, f"B{rate}"): rate
    for rate in (9600, 19200, 38400, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 2000000, 3000000)
    if hasattr(termios, f"B{rate}")
}


def serve(
    board: VirtualBoard | DebuggedBoard,
    announce: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
    *,
    real_time: bool = False,
) -> None:
    """Run `board` with its UART on a new pseudo-terminal, until `stop()` or Ctrl-C (KeyboardInterrupt).

    `announce` is told the port's path. Time passes as fast as the emulation can, or at most as fast as on a real board
    with `real_time`. While the firmware sleeps and nothing is under way, the process sleeps too. The line runs at the
    baud rate that the port's user sets, as a USB serial adapter's does. A fault of the firmware is raised.
    """
    master, slave = os.openpty()
    try:
        tty.setraw(slave)
        _set_baud(slave, board.line_baud)
        os.set_blocking(master, False)
        announce(os.ttyname(slave))
        _run(board, master, slave, stop, real_time)
    finally:
        os.close(master)
        os.close(slave)


def _run(
    board: VirtualBoard | DebuggedBoard, master: int, slave: int, stop: Callable[[], bool], real_time: bool
) -> None:
    outgoing = bytearray()
    real_start, virtual_start = time.monotonic(), board.time_s
    while not stop():
        wait_s = 0.0
        if board.idle:
            wait_s = _IDLE_POLL_S
        elif real_time:
            wait_s = max(0.0, board.time_s - virtual_start - (time.monotonic() - real_start))
        readable, _, _ = select.select([master], [master] if outgoing else [], [], wait_s)
        if readable:
            board.line_baud = _baud(slave, board.line_baud)
            board.uart_send(_read(master))
        if board.idle and not outgoing:
            real_start, virtual_start = time.monotonic(), board.time_s
            continue
        board.run(_SLICE_S)
        outgoing += board.uart_receive()
        _write(master, outgoing)


def _read(master: int) -> bytes:
    try:
        return os.read(master, _CHUNK_BYTES)
    except BlockingIOError:
        return b""
    except OSError as error:
        raise LinkError(f"the pseudo-terminal was lost ({error.strerror}); start again") from error


def _write(master: int, outgoing: bytearray) -> None:
    """Write what the terminal takes now; when nobody reads, drop the oldest bytes as a UART's receiver would."""
    if outgoing:
        with contextlib.suppress(BlockingIOError):
            del outgoing[: os.write(master, outgoing[:_CHUNK_BYTES])]
        del outgoing[:-65536]


def _set_baud(slave: int, baud: float) -> None:
    constant = next((constant for constant, rate in _BAUD_RATES.items() if rate == round(baud)), None)
    if constant is not None:
        settings = termios.tcgetattr(slave)
        settings[4] = settings[5] = constant
        termios.tcsetattr(slave, termios.TCSANOW, settings)


def _baud(slave: int, before: float) -> float:
    """The output speed that the port's user has set, if it is one of the usual ones."""
    return float(_BAUD_RATES.get(termios.tcgetattr(slave)[5], before))
