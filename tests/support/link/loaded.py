"""A port of ``tinydeploy emulate`` on a busy machine, in one thread and without a clock: the turns of virtual/pty.py,
each of which takes the host far longer than the line, and some a long while more."""

from __future__ import annotations

import random

from support.link.native_board import NativeBoard
from tinydeploy.transport import DEFAULT_BAUD

_TURN_S = 0.002  # of virtual time
_IDLE_S = 0.001  # of the host's
_TURNS_A_STALL = 300
_STALL_S = 3.0


class LoadedPort:
    """`board` behind a pseudo-terminal whose server runs `slowness` times slower than the line, and by chance stops for
    seconds. ``host_s`` is the host's clock. What a program has written waits in ``to_board`` until the server takes it,
    whoever has the port open by then, and sets out at the rate of that moment."""

    def __init__(self, board: NativeBoard, slowness: float, seed: int) -> None:
        self.host_s = 0.0
        self.baud = DEFAULT_BAUD
        self.to_board = b""
        self.to_host = b""
        self._board = board
        self._slowness = slowness
        self._chance = random.Random(seed)

    def turn(self) -> None:
        """The server looks once at the terminal and runs the board for a while."""
        if not self._chance.randrange(_TURNS_A_STALL):
            self.host_s += self._chance.uniform(0.0, _STALL_S)
        if self.to_board:
            self._board.line_baud = self.baud
            self._board.uart_send(self.to_board)
            self.to_board = b""
        if self._board.idle:
            self.host_s += _IDLE_S
        else:
            self._board.run(_TURN_S)
            self.host_s += _TURN_S * self._slowness
        self.to_host += self._board.uart_receive()


class LoadedTransport:
    """One program's use of the port, as transport.SerialTransport's: what came before it was opened is forgotten."""

    def __init__(self, port: LoadedPort) -> None:
        self.name = "the port"
        self._port = port
        self.set_baud(DEFAULT_BAUD)
        port.to_host = b""

    def set_baud(self, baud: int) -> None:
        self.baud = self._port.baud = baud

    def write(self, data: bytes) -> None:
        self._port.to_board += data

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        end_s = self.now_s() + timeout_s
        while not self._port.to_host and self.now_s() < end_s:
            self._port.turn()
        data, self._port.to_host = self._port.to_host[:max_bytes], self._port.to_host[max_bytes:]
        return data

    def now_s(self) -> float:
        return self._port.host_s

    def close(self) -> None:
        """What was written stays in the terminal."""
