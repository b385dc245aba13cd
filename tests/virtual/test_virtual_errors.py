"""What the virtual board says to wrong images, and how it ends on Ctrl-C."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from virtual_programs import BOARDS, boot, compile_program

from tinydeploy.boards import load_board
from tinydeploy.errors import BoardError, FirmwareFaultError, ToolchainError
from tinydeploy.virtual import VirtualBoard

F7, L4 = BOARDS


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"nothing\.elf: cannot be read"):
        VirtualBoard(load_board(F7), tmp_path / "nothing.elf")
    wrong = tmp_path / "wrong.elf"
    wrong.write_bytes(b"\x7fELFnot really")
    with pytest.raises(ToolchainError, match=r"wrong\.elf: not a whole ELF file .*; build it or copy it again"):
        VirtualBoard(load_board(F7), wrong)
    with pytest.raises(ToolchainError, match="not a 32-bit Arm ELF"):
        VirtualBoard(load_board(F7), Path(sys.executable).resolve())


def test_an_image_for_elsewhere_is_refused() -> None:
    elf = compile_program(F7, "int main(void) { return 0; }", flash="0x60000000")
    with pytest.raises(ToolchainError, match="outside the flash of STM32F746"):
        VirtualBoard(load_board(F7), elf)


def test_an_unmodelled_family_and_a_wrong_core_are_refused() -> None:
    elf = compile_program(F7, "int main(void) { return 0; }")
    board = load_board(F7)
    with pytest.raises(BoardError, match="does not model the STM32X1"):
        VirtualBoard(dataclasses.replace(board, part="STM32X1"), elf)
    with pytest.raises(BoardError, match="core is m4, but the STM32F746 has an m7"):
        VirtualBoard(dataclasses.replace(board, core=load_board(L4).core), elf)


def test_an_image_linked_for_the_other_chip_stops_with_a_reason() -> None:
    elf = compile_program(F7, "int main(void) { uart_up(); return 0; }")
    with pytest.raises(FirmwareFaultError):
        VirtualBoard(dataclasses.replace(load_board(L4)), elf).run(0.1)


def test_a_fault_stays_until_reset() -> None:
    running = boot(L4, "int main(void) { *(volatile int *)0x30000000 = 1; return 0; }")
    for _ in range(2):
        with pytest.raises(FirmwareFaultError, match="0x30000000"):
            running.run(0.01)
    running.reset()
    running.run(0.0)


def test_time_stands_still_and_moves_as_asked() -> None:
    running = boot(L4, "int main(void) { for (;;) {} }")
    running.run(0.0)
    assert running.time_s == 0.0
    for step in (0.001, 0.25e-3, 1e-6):
        before = running.time_s
        running.run(step)
        assert running.time_s - before == pytest.approx(step, abs=2e-6)
    assert running.cycles == pytest.approx(running.time_s * running.core_hz, abs=4)


@pytest.mark.parametrize("body", ["int main(void) { for (;;) {} }", "int main(void) { idle_forever(); return 0; }"])
def test_ctrl_c_ends_a_served_board_at_once(body: str) -> None:
    elf = compile_program(L4, body)
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from tinydeploy.boards import load_board
        from tinydeploy.virtual import VirtualBoard
        from tinydeploy.virtual.pty import serve
        try:
            serve(VirtualBoard(load_board({L4!r}), Path({str(elf)!r})), lambda port: print(port, flush=True))
        except KeyboardInterrupt:
            print("ended", flush=True)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("/dev/")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("ended\n", "", 0)
