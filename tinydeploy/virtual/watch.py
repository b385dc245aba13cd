"""Counting calls of chosen functions: instructions and cycles from entry to return, and the stack they use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tinydeploy.virtual.counter import Action, BlockCounter
from tinydeploy.virtual.cpu import Cpu
from tinydeploy.virtual.decode import Block
from tinydeploy.virtual.stack import StackWatch


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a watched function, what it calls included and interrupts during it not.

    ``instructions`` is exact, ``cycles`` the cycle model's estimate; ``stack_bytes`` below the caller's stack pointer.
    """

    symbol: str
    instructions: int
    cycles: int
    stack_bytes: int


@dataclass(slots=True)
class _Frame:
    symbol: str
    return_address: int
    sp: int
    instructions: int
    cycles: int
    lowest_before: int


class Listener(Protocol):
    """Hears of watched calls as they happen."""

    def enter(self, symbol: str) -> None:
        """A call of `symbol` begins."""

    def leave(self, symbol: str) -> None:
        """It returns."""


class CallWatch:
    """Sees every block through ``visit``. `in_handler()`: an exception is active, and its calls are not counted.

    `handled()`: instructions and cycles spent in exceptions so far.
    """

    def __init__(
        self,
        cpu: Cpu,
        counter: BlockCounter,
        stack: StackWatch,
        in_handler: Callable[[], bool],
        handled: Callable[[], tuple[int, int]],
    ) -> None:
        self._cpu = cpu
        self._counter = counter
        self._stack = stack
        self._in_handler = in_handler
        self._handled = handled
        self._entries: dict[int, str] = {}
        self._returns: set[int] = set()
        self._frames: list[_Frame] = []
        self._calls: list[Call] = []
        self.listeners: list[Listener] = []

    def watch(self, entries: dict[int, str]) -> None:
        """Watch these functions: entry address -> symbol; adds to what is watched."""
        self._entries.update(entries)
        self._counter.forget_edges()

    def take(self) -> list[Call]:
        """The calls that have returned since last taken, in the order of their return."""
        taken, self._calls = self._calls, []
        return taken

    def reset(self) -> None:
        """No call is under way any more."""
        self._frames.clear()

    def visit(self, block: Block) -> Action | None:
        """See ``BlockCounter.visit``."""
        address = block.address
        returned, entered = address in self._returns, address in self._entries
        if not (returned or entered):
            return None

        def look() -> None:
            if self._in_handler():
                return
            if returned:
                self._leave(address)
            if entered:
                self._enter(address)

        return look

    def _now(self) -> tuple[int, int]:
        instructions, cycles = self._handled()
        return self._counter.instructions - instructions, self._counter.cycles - cycles

    def _enter(self, address: int) -> None:
        sp, return_address = self._cpu["sp"], self._cpu["lr"] & ~1
        frames = self._frames
        if (
            frames
            and frames[-1].sp == sp
            and frames[-1].return_address == return_address
            and frames[-1].symbol == self._entries[address]
        ):
            return  # a loop whose head is the function's entry
        frames.append(_Frame(self._entries[address], return_address, sp, *self._now(), self._stack.lowest))
        self._stack.lowest = sp
        if return_address not in self._returns:
            self._returns.add(return_address)
            self._counter.forget_edges()
        for listener in self.listeners:
            listener.enter(self._entries[address])

    def _leave(self, address: int) -> None:
        sp = self._cpu["sp"]
        instructions, cycles = self._now()
        frames = self._frames
        while frames and frames[-1].sp <= sp and (frames[-1].return_address == address or frames[-1].sp < sp):
            frame = frames.pop()
            used = frame.sp - min(frame.sp, self._stack.lowest)
            self._stack.lowest = min(frame.lowest_before, self._stack.lowest)
            if frame.return_address == address:
                self._calls.append(Call(frame.symbol, instructions - frame.instructions, cycles - frame.cycles, used))
                for listener in self.listeners:
                    listener.leave(frame.symbol)
