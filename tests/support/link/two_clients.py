"""Two programs with the same port open at once, in lock step: one runs at a time, and a seeded chance says which."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from support.link.faulty_board import FaultyBoard

_SLICE_S = 0.002  # of virtual time, between two chances for the others


class Turns:
    """Lets one of `count` threads run at a time; they hand over in :meth:`pause`, and leave with :meth:`leave`."""

    def __init__(self, count: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._live = list(range(count))
        self._gates = [threading.Event() for _ in range(count)]

    def start(self) -> None:
        """Lets the first run."""
        self._gates[0].set()

    def wait(self, index: int) -> None:
        """Until it is this thread's turn."""
        self._gates[index].wait()

    def pause(self, index: int) -> None:
        """Perhaps lets another one run, and then waits."""
        chosen = self._chance.choice(self._live)
        if chosen != index:
            self._gates[index].clear()
            self._gates[chosen].set()
            self._gates[index].wait()

    def leave(self, index: int) -> None:
        """The others go on without this one."""
        self._live.remove(index)
        if self._live:
            self._gates[self._live[0]].set()


class SharedPort:
    """A port that `count` programs have open: each hears everything, and its rate is everybody's."""

    def __init__(self, board: FaultyBoard, baud: int, count: int, seed: int) -> None:
        self.board = board
        self.baud = baud
        self.turns = Turns(count, seed)
        self.received = [b""] * count

    def run(self, index: int, seconds: float) -> None:
        """Lets time pass, until the device has sent something."""
        self.board.run(min(seconds, _SLICE_S), until_output=True)
        data = self.board.uart_receive()
        self.received = [before + data for before in self.received]
        self.turns.pause(index)


class SharedTransport:
    """One program's end of a shared port."""

    def __init__(self, port: SharedPort, index: int) -> None:
        self.name = "the virtual board"
        self.board = port.board
        self._port = port
        self._index = index

    @property
    def baud(self) -> int:
        return self._port.baud

    def set_baud(self, baud: int) -> None:
        self._port.baud = baud
        self.board.line_baud = baud

    def write(self, data: bytes) -> None:
        self.board.uart_send(data)

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        end_s = self.now_s() + timeout_s
        while not (data := self._port.received[self._index][:max_bytes]):
            if (rest_s := end_s - self.now_s()) <= 0:
                return b""
            self._port.run(self._index, rest_s)
        self._port.received[self._index] = self._port.received[self._index][max_bytes:]
        return data

    def now_s(self) -> float:
        return self.board.time_s

    def close(self) -> None:
        """The port stays open for the others."""


def run_together(port: SharedPort, programs: list[Callable[[SharedTransport], None]]) -> None:
    """Runs `programs` to their ends, each with its own end of `port`. Raises what one of them raised."""
    failures: list[BaseException] = []

    def run(index: int, program: Callable[[SharedTransport], None]) -> None:
        port.turns.wait(index)
        try:
            program(SharedTransport(port, index))
        except BaseException as error:
            failures.append(error)
        finally:
            port.turns.leave(index)

    threads = [threading.Thread(target=run, args=item) for item in enumerate(programs)]
    for thread in threads:
        thread.start()
    port.turns.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
