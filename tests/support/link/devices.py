"""Devices without a board: the firmware's main as a process behind a pseudo-terminal, and its link in this process."""

from __future__ import annotations

import ctypes
import itertools
import os
import pty
import random
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.link.faults import Faults, strikes
from support.link.native_build import device_library, device_program
from tinydeploy.session import Session

INPUT_BYTES = 3000


def some_input(seed: int = 1) -> bytes:
    """An input of the native model."""
    return random.Random(seed).randbytes(INPUT_BYTES)


def expected_output(data: bytes) -> bytes:
    """What the native model computes."""
    return bytes((byte + 0x5A) & 0xFF for byte in reversed(data))


@contextmanager
def device_on_a_pty(program: Path | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The firmware's main.c running as a process; its UART is the pseudo-terminal whose path is given."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    process = subprocess.Popen([program or device_program()], stdin=master, stdout=master, stderr=subprocess.PIPE)
    try:
        yield os.ttyname(slave), process
    finally:
        process.kill()
        _, words = process.communicate()
        os.close(master)
        os.close(slave)
        assert b"Sanitizer" not in words, words.decode(errors="replace")
        assert b"runtime error" not in words, words.decode(errors="replace")


SINK = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint8), ctypes.c_uint32)


def garbled(data: bytes, sender_baud: int, receiver_baud: int) -> bytes:
    """What a receiver at another rate makes of `data`: as many bytes as its clock finds, none of them text."""
    return (
        data if sender_baud == receiver_baud else b"\x80" * min(5 * len(data), len(data) * receiver_baud // sender_baud)
    )


class InProcessTransport:
    """The device's link as a library, behind a line with `faults`; deterministic, and time is only counted.

    The line carries at most `line_baud`: what is sent at a higher rate is garbled.
    """

    def __init__(self, faults: Faults | None = None, seed: int = 0, line_baud: int = 1_000_000) -> None:
        self.name = "the library"
        self.baud = 115_200
        self.line_baud = line_baud
        self.faults = faults or Faults()
        self.resets = 0
        self.written_bytes = 0
        self.closed = False
        self._chance = random.Random(seed)
        self._library = ctypes.CDLL(str(device_library()))
        self._to_host = b""
        self._now_s = 0.0
        self._sink = SINK(self._receive)
        self.reset()

    def reset(self) -> None:
        """What the reset button does."""
        self._library.device_reset(self._sink)

    @property
    def runs(self) -> int:
        """How often the model or one of its steps has run in this process."""
        return int(self._library.device_runs())

    @property
    def device_baud(self) -> int:
        """The rate of the device's UART."""
        return int(self._library.device_baud())

    def set_baud(self, baud: int) -> None:
        self.baud = baud

    def send_to_host(self, data: bytes) -> None:
        """Something on the line that is no answer: the firmware's text, or noise."""
        self._to_host += data

    def write(self, data: bytes) -> None:
        self.written_bytes += len(data)
        if strikes(self.faults.reset, len(data), self._chance):
            self.reset()
            self.resets += 1
        damaged = self._over_the_line(data, self.baud, self.device_baud)
        self._now_s += len(data) * 10 / self.baud
        self._library.device_receive(damaged, len(damaged))

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        data, self._to_host = self._to_host[:max_bytes], self._to_host[max_bytes:]
        self._now_s += len(data) * 10 / self.baud if data else timeout_s
        return data

    def now_s(self) -> float:
        return self._now_s

    def close(self) -> None:
        self.closed = True

    def _receive(self, data: ctypes._Pointer[ctypes.c_uint8], size: int) -> None:
        self._to_host += self._over_the_line(ctypes.string_at(data, size), self.device_baud, self.baud)

    def _over_the_line(self, data: bytes, sender_baud: int, receiver_baud: int) -> bytes:
        if sender_baud > self.line_baud:
            receiver_baud = self.line_baud
        return self.faults.damage(garbled(data, sender_baud, receiver_baud), self._chance)


def in_process(faults: Faults | None = None, seed: int = 0) -> Session:
    """A session with the library, which has not greeted yet; the same every time."""
    return Session(InProcessTransport(faults, seed), new_session=itertools.count(1).__next__)
