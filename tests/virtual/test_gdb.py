"""The virtual board under a debugger: by a small client of our own, and by GDB itself where it is installed."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from virtual_programs import compile_program

from tinydeploy.boards import load_board
from tinydeploy.errors import FirmwareFaultError, UsageError
from tinydeploy.virtual import VirtualBoard
from tinydeploy.virtual.gdb import DebuggedBoard

PROGRAM = """
volatile uint32_t counter;
volatile uint32_t limit = 5;
NOINLINE uint32_t twice(uint32_t value) {
    return value * 2u;
}
int main(void) {
    for (;;) {
        counter = twice(counter) + 1u;
        if (counter > limit) {
            counter = 0;
        }
    }
}
"""


class Client:
    """Speaks the remote protocol."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._data = b""

    def send(self, packet: str) -> None:
        data = packet.encode()
        self._socket.sendall(b"$" + data + f"#{sum(data) & 0xFF:02x}".encode())

    def raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> str:
        while True:
            start = self._data.find(b"$")
            end = self._data.find(b"#", start)
            if start >= 0 and len(self._data) >= end + 3 > 3:
                packet, checksum = self._data[start + 1 : end], self._data[end + 1 : end + 3]
                self._data = self._data[end + 3 :]
                assert int(checksum, 16) == sum(packet) & 0xFF
                self._socket.sendall(b"+")
                return packet.decode()
            self._data += self._socket.recv(4096)

    def ask(self, packet: str) -> str:
        self.send(packet)
        return self.receive()

    def register(self, number: int) -> int:
        return int.from_bytes(bytes.fromhex(self.ask(f"p{number:x}")), "little")

    def word(self, address: int) -> int:
        return int.from_bytes(bytes.fromhex(self.ask(f"m{address:x},4")), "little")

    def close(self) -> None:
        self._socket.close()


@contextmanager
def served(name: str, body: str = PROGRAM) -> Iterator[tuple[VirtualBoard, int]]:
    board = VirtualBoard(load_board(name), compile_program(name, body))
    debugged = DebuggedBoard(board, 0, wait=True)
    stop = threading.Event()

    def run() -> None:
        with contextlib.suppress(FirmwareFaultError):  # raised when no client is there to be told
            while not stop.is_set():
                debugged.run(0.0005)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield board, debugged.port
    finally:
        stop.set()
        thread.join(timeout=20)
        debugged.close()
        assert not thread.is_alive()


def address(board: VirtualBoard, name: str) -> int:
    return board._core.image.address(name)


@pytest.mark.parametrize("name", ["stm32f746", "nucleo_l4r5zi"])
def test_breakpoints_registers_memory_and_steps(name: str) -> None:
    with served(name) as (board, port):
        client = Client(port)
        twice, counter, limit = (address(board, symbol) for symbol in ("twice", "counter", "limit"))
        assert "qXfer:features:read+" in client.ask("qSupported:swbreak+")
        assert client.ask("?") == "S05"
        assert client.ask(f"Z0,{twice:x},2") == "OK"
        seen = []
        for _ in range(4):
            assert client.ask("c") == "S05"
            assert client.register(15) == twice
            seen.append(client.register(0))
            assert client.word(counter) == seen[-1]
        assert seen == [0, 1, 3, 0]
        # Written memory and registers count: the limit goes up, the argument is another.
        assert client.ask(f"M{limit:x},4:ff000000") == "OK"
        assert client.ask("P0=0a000000") == "OK"
        assert client.ask("c") == "S05"
        assert client.register(0) == 21
        # One step is one instruction.
        before = board.instructions
        pcs = []
        for _ in range(3):
            assert client.ask("s") == "S05"
            pcs.append(client.register(15))
        assert board.instructions == before + 3
        assert pcs[0] in (twice + 2, twice + 4)
        assert client.ask(f"z0,{twice:x},2") == "OK"
        # Running free, and interrupted.
        client.send("c")
        client.raw(b"\x03")
        assert client.receive() == "S02"
        assert client.ask("m40000000,4") == "E14"  # devices are left alone
        assert client.ask("m30000000,4") == "E14"
        assert client.ask("vMustReplyEmpty") == ""
        registers = client.ask("g")
        assert len(registers) == 17 * 8
        assert client.ask("G" + registers) == "OK"
        assert client.ask("D") == "OK"
        client.close()


def test_what_is_counted_does_not_depend_on_the_debugger() -> None:
    """The same instructions up to the same place, with and without breakpoints on the way."""
    body = PROGRAM.replace("counter = 0;", '__asm volatile("wfi");')
    free = VirtualBoard(load_board("stm32f746"), compile_program("stm32f746", body))
    free.run(0.001)
    with served("stm32f746", body) as (board, port):
        client = Client(port)
        twice = address(board, "twice")
        assert client.ask(f"Z0,{twice:x},2") == "OK"
        for _ in range(3):
            assert client.ask("c") == "S05"
        assert client.ask(f"z0,{twice:x},2") == "OK"
        client.send("c")
        deadline = time.monotonic() + 20
        while not board.idle and time.monotonic() < deadline:
            time.sleep(0.01)
        client.raw(b"\x03")
        assert client.receive() == "S02"
        assert board.instructions == free.instructions
        client.close()


def test_a_fault_is_told_to_the_debugger() -> None:
    with served("stm32f746", "int main(void) { *(volatile int *)0x30000000 = 1; return 0; }") as (_, port):
        client = Client(port)
        said = client.ask("c")
        assert "where nothing is mapped" in bytes.fromhex(said[1:]).decode()
        assert client.receive() == "S0b"
        client.close()


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        board = VirtualBoard(load_board("stm32f746"), compile_program("stm32f746", PROGRAM))
        with pytest.raises(UsageError, match=r"port \d+ cannot be served .*choose another --gdb PORT"):
            DebuggedBoard(board, taken.getsockname()[1])


@pytest.mark.skipif(shutil.which("gdb-multiarch") is None, reason="gdb-multiarch is not installed")
def test_gdb_itself_breaks_steps_and_looks_around() -> None:
    with served("stm32f746") as (board, port):
        commands = [
            f"target remote :{port}", "break twice", "continue", "continue", "info registers pc", "print counter",
            "backtrace", "finish", "stepi", "set var limit = 100", "print limit", "delete", "detach",
        ]  # fmt: skip
        arguments = [part for command in commands for part in ("-ex", command)]
        elf = str(compile_program("stm32f746", PROGRAM))
        run = subprocess.run(
            ["gdb-multiarch", "-nx", "-batch", elf, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == 0, run.stderr
        assert "Breakpoint 1, twice (value=1)" in run.stdout
        assert f"{address(board, 'twice'):#x}" in run.stdout
        assert "#1" in run.stdout
        assert "main ()" in run.stdout
        assert "Value returned is $2 = 2" in run.stdout
        assert "$3 = 100" in run.stdout
