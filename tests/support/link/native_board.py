"""The firmware's link compiled for this machine, used like a virtual board: the same C, without a core to emulate."""

from __future__ import annotations

import ctypes
from collections import deque
from pathlib import Path

from support.link.devices import SINK
from tinydeploy.virtual.line import EIGHT_N_ONE, transfer

_BITS_PER_BYTE = 10


class NativeBoard:
    """The device in the shared library `library`, behind a line of 8N1; one at a time in a process.

    Bytes take their time on the line both ways, and one at another rate is garbled; computing takes none.
    """

    def __init__(self, library: Path, baud: int) -> None:
        self.line_baud: float = baud
        self.time_s = 0.0
        self._library = ctypes.CDLL(str(library))
        self._sink = SINK(self._send)
        self._input: deque[int] = deque()
        self._input_s = 0.0  # when the first of them is in
        self._output: deque[tuple[float, int, int]] = deque()  # when it is out, byte, baud
        self._received = bytearray()
        self.reset()

    @property
    def idle(self) -> bool:
        """Nothing is on the way."""
        return not self._input and not self._output

    def reset(self) -> None:
        """Press the button."""
        self._input.clear()
        self._output.clear()
        self._library.device_reset(self._sink)

    def uart_send(self, data: bytes) -> None:
        """Bytes of the host set out."""
        if not self._input:
            self._input_s = self.time_s + _BITS_PER_BYTE / self.line_baud
        self._input.extend(data)

    def uart_receive(self) -> bytes:
        """What has come since last asked."""
        data = bytes(self._received)
        self._received.clear()
        return data

    def run(self, seconds: float, until_output: bool = False) -> None:
        """Let time pass."""
        end_s = self.time_s + seconds
        while not (until_output and self._received):
            in_s = self._input_s if self._input else end_s
            out_s = self._output[0][0] if self._output else end_s
            self.time_s = min(max(self.time_s, min(in_s, out_s)), end_s)
            if min(in_s, out_s) >= end_s:
                return
            if out_s <= in_s:
                _, byte, baud = self._output.popleft()
                self._received += _heard(byte, baud, self.line_baud)
            else:
                data = _heard(self._input.popleft(), self.line_baud, self._library.device_baud())
                self._input_s += _BITS_PER_BYTE / self.line_baud
                self._library.device_receive(data, len(data))

    def close(self) -> None:
        """Nothing to give back."""

    def _send(self, data: ctypes._Pointer[ctypes.c_uint8], size: int) -> None:
        baud = self._library.device_baud()
        for byte in ctypes.string_at(data, size):
            free_s = max(self.time_s, self._output[-1][0] if self._output else 0.0)
            self._output.append((free_s + _BITS_PER_BYTE / baud, byte, baud))


def _heard(byte: int, sender_baud: float, receiver_baud: float) -> bytes:
    if sender_baud == receiver_baud:
        return bytes((byte,))
    return bytes(item.byte for item in transfer(byte, EIGHT_N_ONE, sender_baud, EIGHT_N_ONE, receiver_baud))
