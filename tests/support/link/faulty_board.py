"""A virtual board whose line has faults: used like the board itself, in this process or behind a pseudo-terminal."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable

from support.link.faults import Faults, somebody_elses_bytes, strikes
from support.link.native_board import NativeBoard
from tinydeploy.errors import LinkError
from tinydeploy.transport import VirtualTransport
from tinydeploy.virtual import VirtualBoard

_SOON_S = 0.003  # a strike comes so long after its byte at most: inside a frame, an answer or a run
_DELAY_S = 0.3
_PULLED_S = (0.01, 2.0)
_STOLEN_S = 0.02


class _Lane:
    """Bytes on their way in one direction; ``hold_until_s`` holds them back, in order."""

    def __init__(self) -> None:
        self.hold_until_s = 0.0
        self._waiting: deque[tuple[float, bytes]] = deque()

    def put(self, data: bytes, now_s: float) -> None:
        if data:
            self._waiting.append((max(now_s, self.hold_until_s), data))

    @property
    def due_s(self) -> float:
        """When the next bytes come out."""
        return self._waiting[0][0] if self._waiting else float("inf")

    def take(self, now_s: float) -> bytes:
        """The bytes that are through by now."""
        data = b""
        while self.due_s <= now_s:
            data += self._waiting.popleft()[1]
        return data

    def clear(self) -> None:
        self._waiting.clear()


class FaultyBoard:
    """`board` behind a line with `faults`, seeded; time is the board's. ``struck`` counts what happened.

    ``pulled``: the port is gone. The cable may also be loose without that: then bytes are lost and nobody says so.
    """

    def __init__(self, board: VirtualBoard | NativeBoard, faults: Faults, seed: int) -> None:
        self.board = board
        self.faults = faults
        self.pulled = False
        self.struck: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._to_board, self._to_host = _Lane(), _Lane()
        self._happenings: list[tuple[float, int, Callable[[], None]]] = []
        self._cut_until_s = self._stolen_until_s = 0.0

    @property
    def line_baud(self) -> float:
        """The host's baud rate."""
        return self.board.line_baud

    @line_baud.setter
    def line_baud(self, baud: float) -> None:
        self.board.line_baud = baud

    @property
    def time_s(self) -> float:
        """Virtual time."""
        return self.board.time_s

    @property
    def idle(self) -> bool:
        """Nothing goes on, on the board, on the line or to it."""
        return self.board.idle and self._next_s == float("inf")

    def uart_send(self, data: bytes) -> None:
        """Bytes of the host set out."""
        self._strike(len(data), self._to_board)
        if self.time_s >= self._cut_until_s:
            self._to_board.put(self._damaged(data), self.time_s)
        self._happen()

    def uart_receive(self) -> bytes:
        """What has come through to the host."""
        return self._to_host.take(self.time_s)

    def run(self, seconds: float, until_output: bool = False) -> None:
        """As the board's, with what happens to the line meanwhile."""
        end_s = self.time_s + seconds
        while True:
            self._happen()
            if (until_output and self._to_host.due_s <= self.time_s) or self.time_s >= end_s:
                return
            self.board.run(max(min(end_s, self._next_s) - self.time_s, 1e-9), until_output)
            data = self.board.uart_receive()
            self._strike(len(data), self._to_host)
            if self.time_s >= max(self._cut_until_s, self._stolen_until_s):
                self._to_host.put(self._damaged(data), self.time_s)

    def close(self) -> None:
        """As the board's."""
        self.board.close()

    @property
    def _next_s(self) -> float:
        return min([self._to_board.due_s, self._to_host.due_s, *(at_s for at_s, _, _ in self._happenings)])

    def _damaged(self, data: bytes) -> bytes:
        through = self.faults.damage(data, self._chance)
        self.struck["damage"] += through != data
        return through

    def _strike(self, count: int, lane: _Lane) -> None:
        faults, chance = self.faults, self._chance
        if strikes(faults.delay, count, chance):
            self.struck["delay"] += 1
            lane.hold_until_s = max(lane.hold_until_s, self.time_s) + chance.uniform(0, _DELAY_S)
        for rate, action in ((faults.reset, self._reset), (faults.pull, self._pull), (faults.garble, self._garble)):
            if strikes(rate, count, chance):
                self._at(self.time_s + chance.uniform(0, _SOON_S), action)

    def _at(self, at_s: float, action: Callable[[], None]) -> None:
        self._happenings.append((at_s, len(self._happenings), action))

    def _happen(self) -> None:
        """Everything that is due."""
        for happening in sorted(h for h in self._happenings if h[0] <= self.time_s):
            self._happenings.remove(happening)
            happening[2]()
        if through := self._to_board.take(self.time_s):
            self.board.uart_send(through)

    def _reset(self) -> None:
        self.struck["reset"] += 1
        self.board.reset()

    def _pull(self) -> None:
        """The port goes, and often the board's power with it; or only a wire is loose."""
        back_s = self.time_s + self._chance.uniform(*_PULLED_S)
        self.struck["pull"] += 1
        self._cut_until_s = max(self._cut_until_s, back_s)
        for lane in (self._to_board, self._to_host):
            lane.clear()
        if self._chance.random() < 0.5:
            self.pulled = True
            self._at(back_s, self._put_back)

    def _put_back(self) -> None:
        self.pulled = False
        if self._chance.random() < 0.5:
            self.board.reset()

    def _garble(self) -> None:
        self.struck["garble"] += 1
        self._to_board.put(somebody_elses_bytes(self._chance), self.time_s)
        if self._chance.random() < 0.5:
            self._stolen_until_s = self.time_s + self._chance.uniform(0, _STOLEN_S)


class FaultyTransport(VirtualTransport):
    """A transport to a faulty board; a pulled cable is the error that a serial port gives."""

    board: FaultyBoard  # type: ignore[assignment]  # stands in for the board

    def write(self, data: bytes) -> None:
        self._check()
        super().write(data)

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        self._check()
        data = super().read(max_bytes, timeout_s)
        self._check()
        return data

    def _check(self) -> None:
        if self.board.pulled:
            raise LinkError(f"{self.name} went away while it was in use; plug the board in again and retry")
