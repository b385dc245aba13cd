"""Serves a virtual board to GDB: the remote serial protocol on a TCP port of this machine.

"GDB Remote Serial Protocol", appendix of Debugging with GDB: registers, memory, breakpoints, step, continue,
interrupt. One client at a time; without one the board runs.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable

from tinydeploy.errors import FirmwareFaultError, UsageError
from tinydeploy.virtual.board import VirtualBoard
from tinydeploy.virtual.debug import REGISTERS

_POLL_S = 0.02
_PACKET_BYTES = 4096
_TRAP, _INTERRUPTED, _FAULT = "S05", "S02", "S0b"
_FEATURES = (
    '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target><architecture>arm</architecture>'
    '<feature name="org.gnu.gdb.arm.m-profile">'
    + "".join(f'<reg name="{name}" bitsize="32"{_type}/>' for name, _type in (
        *((f"r{number}", "") for number in range(13)), ("sp", ' type="data_ptr"'), ("lr", ""),
        ("pc", ' type="code_ptr"'), ("xpsr", ' regnum="25"'),
    ))
    + "</feature></target>"
)  # fmt: skip


class DebuggedBoard:
    """A virtual board with GDB's server beside it; it offers what ``pty.serve`` needs of a board.

    ``port`` is the TCP port on 127.0.0.1. The board waits for a client from the beginning when `wait` is set. Raises
    UsageError when the port is taken.
    """

    def __init__(self, board: VirtualBoard, port: int, *, wait: bool = False) -> None:
        self.board = board
        self._debugger = board.debugger
        self._client: socket.socket | None = None
        self._received = b""
        self._acknowledge = True
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._server.bind(("127.0.0.1", port))
        except OSError as error:
            self._server.close()
            raise UsageError(f"port {port} cannot be served ({error.strerror}); choose another --gdb PORT") from error
        self._server.listen(1)
        self.port = int(self._server.getsockname()[1])
        if wait:
            self._debugger.halt()

    def close(self) -> None:
        """Let the client and the port go; the board runs on."""
        if self._client is not None:
            self._client.close()
        self._client = None
        self._server.close()

    # What pty.serve needs

    @property
    def line_baud(self) -> float:
        """The host's baud rate."""
        return self.board.line_baud

    @line_baud.setter
    def line_baud(self, baud: float) -> None:
        self.board.line_baud = baud

    @property
    def idle(self) -> bool:
        """Never: the client may want something."""
        return False

    @property
    def time_s(self) -> float:
        """Virtual time since power-on."""
        return self.board.time_s

    def uart_send(self, data: bytes) -> None:
        """Bytes from the host to the UART."""
        self.board.uart_send(data)

    def uart_receive(self) -> bytes:
        """Bytes from the UART."""
        return self.board.uart_receive()

    def run(self, seconds: float) -> None:
        """Serve the client; let the board run for `seconds` of its time unless it is halted."""
        self._poll(_POLL_S if self._debugger.halted or self.board.idle else 0.0)
        if self._debugger.halted:
            return
        if self.board.idle:
            time.sleep(0)
            return
        try:
            self.board.run(seconds)
        except FirmwareFaultError as error:
            if self._client is None:
                raise
            self._debugger.halt()
            self._send("O" + f"{error}\n".encode().hex())
            self._send(_FAULT)
            return
        if self._debugger.halted:
            self._send(_TRAP)

    # The protocol

    def _poll(self, wait_s: float) -> None:
        """Take a client, and whatever it has sent."""
        readable, _, _ = select.select([self._client or self._server], [], [], wait_s)
        if not readable:
            return
        if self._client is None:
            self._client, _ = self._server.accept()
            self._received, self._acknowledge = b"", True
            self._debugger.halt()
            return
        try:
            data = self._client.recv(_PACKET_BYTES)
        except OSError:
            data = b""
        if not data:
            self._client.close()
            self._client = None
            self._debugger.resume()
            return
        self._received += data
        self._take_packets()

    def _take_packets(self) -> None:
        while self._received and self._client is not None:
            first = self._received[:1]
            if first == b"\x03":
                self._received = self._received[1:]
                self._debugger.halt()
                self._send(_INTERRUPTED)
                continue
            if first != b"$":
                self._received = self._received[1:]  # an acknowledgement, or noise
                continue
            end = self._received.find(b"#")
            if end < 0 or len(self._received) < end + 3:
                return
            packet, checksum = self._received[1:end], self._received[end + 1 : end + 3]
            self._received = self._received[end + 3 :]
            if self._acknowledge:
                right = checksum.lower() == f"{sum(packet) & 0xFF:02x}".encode()
                self._write(b"+" if right else b"-")
                if not right:
                    continue
            answer = self._answer(packet.decode("latin-1"))
            if answer is not None:
                self._send(answer)

    def _send(self, text: str) -> None:
        data = text.encode("latin-1")
        self._write(b"$" + data + f"#{sum(data) & 0xFF:02x}".encode())

    def _write(self, data: bytes) -> None:
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.sendall(data)

    def _answer(self, packet: str) -> str | None:
        """The reply to a packet; None when it comes later, empty for what is not supported."""
        handlers: tuple[tuple[str, Callable[[str], str | None]], ...] = (
            ("qSupported", lambda _: f"PacketSize={_PACKET_BYTES:x};qXfer:features:read+;QStartNoAckMode+"),
            ("QStartNoAckMode", self._stop_acknowledging),
            ("qXfer:features:read:target.xml:", self._features),
            ("qAttached", lambda _: "1"),
            ("?", lambda _: _TRAP),
            ("H", lambda _: "OK"),
            ("g", lambda _: "".join(value.to_bytes(4, "little").hex() for value in self._debugger.registers())),
            ("G", self._write_registers),
            ("p", self._read_register),
            ("P", self._write_register),
            ("m", self._read_memory),
            ("M", self._write_memory),
            ("Z0", self._breakpoint),
            ("Z1", self._breakpoint),
            ("z0", self._no_breakpoint),
            ("z1", self._no_breakpoint),
            ("c", self._continue),
            ("s", self._step),
            ("D", self._detach),
        )
        for beginning, handler in handlers:
            if packet.startswith(beginning):
                try:
                    return handler(packet[len(beginning) :])
                except (ValueError, IndexError):
                    return "E01"
        return ""

    def _stop_acknowledging(self, _rest: str) -> str:
        self._acknowledge = False
        return "OK"

    def _features(self, rest: str) -> str:
        offset, size = (int(part, 16) for part in rest.split(","))
        piece = _FEATURES[offset : offset + size]
        return ("m" if offset + size < len(_FEATURES) else "l") + piece

    def _index(self, text: str) -> int:
        number = int(text, 16)
        return REGISTERS.index("xpsr") if number == 25 else number

    def _read_register(self, rest: str) -> str:
        return self._debugger.registers()[self._index(rest)].to_bytes(4, "little").hex()

    def _write_register(self, rest: str) -> str:
        number, value = rest.split("=")
        self._debugger.set_register(REGISTERS[self._index(number)], int.from_bytes(bytes.fromhex(value), "little"))
        return "OK"

    def _write_registers(self, rest: str) -> str:
        data = bytes.fromhex(rest)
        for index, name in enumerate(REGISTERS[: len(data) // 4]):
            self._debugger.set_register(name, int.from_bytes(data[4 * index : 4 * index + 4], "little"))
        return "OK"

    def _read_memory(self, rest: str) -> str:
        address, size = (int(part, 16) for part in rest.split(","))
        data = self._debugger.read(address, size)
        return "E14" if data is None else data.hex()

    def _write_memory(self, rest: str) -> str:
        place, data = rest.split(":")
        return "OK" if self._debugger.write(int(place.split(",")[0], 16), bytes.fromhex(data)) else "E14"

    def _breakpoint(self, rest: str) -> str:
        self._debugger.add_breakpoint(int(rest.split(",")[1], 16))
        return "OK"

    def _no_breakpoint(self, rest: str) -> str:
        self._debugger.remove_breakpoint(int(rest.split(",")[1], 16))
        return "OK"

    def _continue(self, rest: str) -> None:
        if rest:
            self._debugger.set_register("pc", int(rest, 16))
        self._debugger.resume()

    def _step(self, rest: str) -> str:
        if rest:
            self._debugger.set_register("pc", int(rest, 16))
        try:
            self._debugger.step()
        except FirmwareFaultError as error:
            self._send("O" + f"{error}\n".encode().hex())
            return _FAULT
        return _TRAP

    def _detach(self, _rest: str) -> str:
        self._debugger.resume()
        return "OK"
