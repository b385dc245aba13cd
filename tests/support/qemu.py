"""Firmware in QEMU: an emulator that shares nothing with the virtual board but the facts, and has the Cortex-M55."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def qemu(board_name: str, elf: Path, serial: str) -> Iterator[subprocess.Popen[bytes]]:
    """QEMU running `elf` on the machine of a board, UART0 on `serial` ("pty", "stdio"); ended on leaving."""
    command = ["qemu-system-arm", "-M", board_name.replace("_", "-"), "-kernel", str(elf)]
    process = subprocess.Popen(
        [*command, "-display", "none", "-monitor", "none", "-serial", serial],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=10)
        assert process.stdout is not None
        process.stdout.close()
