"""The doctor: facts about ports, tools and firmware, each at its level, with what to do about it."""

from __future__ import annotations

import dataclasses
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.link.devices import device_on_a_pty

from tinydeploy.boards import list_boards, load_board
from tinydeploy.doctor import TOOLS, Device, Diagnosis, Examined, device_findings, diagnose_ports, examine_port
from tinydeploy.doctor import tool_findings as findings_of_tools
from tinydeploy.doctor_report import diagnosis_json
from tinydeploy.memory_state import memory_state, state_registers
from tinydeploy.ports import Port, boards_behind, holders, refused_by, udev_rules
from tinydeploy.protocol import About, DeviceInfo, parse_about

BOARD = load_board("stm32f746")
INFO = DeviceInfo(
    protocol=1,
    max_payload_bytes=1024,
    window_bytes=2047,
    max_runs=16,
    core_hz=216_000_000,
    baud=115_200,
    input_bytes=27_648,
    output_bytes=2,
    arena_bytes=40_000,
    step_count=3,
    board="stm32f746",
    model="vww",
    model_sha256="ab" * 32,
    fingerprint="cd" * 8,
    fast_baud=921_600,
)
# CCR with both caches, CPACR with the FPU, FLASH_ACR with ART, prefetch and seven wait states.
ABOUT = About(0x410F_C271, 0x0007_0200, 0x00F0_0000, 0x307, 0, "dsp", "Clang 22", "-mcpu=cortex_m7 -O3")


def levels(about: About | None = ABOUT, info: DeviceInfo = INFO) -> dict[str, str]:
    device = Device(info, about, memory_state(BOARD, about) if about else None)
    return {finding.topic: finding.level for finding in device_findings(device, [BOARD], None)}


def test_a_board_that_runs_as_it_should_has_nothing_slow() -> None:
    assert set(levels().values()) == {"ok", "note"}


@pytest.mark.parametrize(
    ("changes", "topic", "level"),
    [
        ({"ccr": 0x0002_0200}, "data cache", "slow"),
        ({"ccr": 0x0001_0200}, "instruction cache", "slow"),
        ({"cpacr": 0}, "FPU", "wrong"),
        ({"flash_register": 0x308}, "flash reads", "slow"),
        ({"flash_register": 0x306}, "flash reads", "wrong"),
        ({"kernels": "portable"}, "kernels", "slow"),
        ({"model_flags": "-mcpu=cortex_m7 -Os"}, "flags", "slow"),
        ({"model_flags": "-mcpu=cortex_m7 -Os -O2"}, "flags", "ok"),
        ({"model_flags": "-mcpu=cortex_m7"}, "flags", "slow"),
        ({"model_flags": ""}, "flags", "note"),
    ],
)
def test_what_makes_it_slow_is_named(changes: dict[str, int | str], topic: str, level: str) -> None:
    found = levels(dataclasses.replace(ABOUT, **changes))  # type: ignore[arg-type]
    assert found[topic] == level
    assert levels() | {topic: level} == found


def test_a_slow_clock_and_an_old_firmware_are_named() -> None:
    assert levels(info=dataclasses.replace(INFO, core_hz=16_000_000))["clock"] == "slow"
    assert levels(None)["state"] == "note"
    assert levels(info=dataclasses.replace(INFO, board="mine"))["board"] == "note"


@pytest.mark.parametrize("board", list_boards(), ids=lambda board: board.name)
def test_a_board_without_a_register_has_no_state_of_it(board: object) -> None:
    """All bits set: whatever the chip has is on, and nothing is told that it has not."""
    known = load_board(board.name)  # type: ignore[attr-defined]
    addresses = state_registers(known)
    state = memory_state(known, About(*(0xFFFF_FFFF if at else 0 for at in addresses), "dsp", "", ""))
    assert all(state.accelerators.values())
    assert (state.wait_states is None) == (addresses[3] == 0)
    assert (state.fpu is None) == (addresses[2] == 0) == (known.core.fpu == "none")


def test_the_answer_is_read_and_may_grow() -> None:
    registers = struct.pack("<5I", 1, 2, 3, 4, 5)
    expected = About(1, 2, 3, 4, 5, "dsp", "a compiler", "-O3")
    assert parse_about(registers + b"dsp\na compiler\n-O3") == expected
    assert parse_about(registers + b"dsp\na compiler\n-O3\nof later versions") == expected
    assert parse_about(registers + b"dsp\na compiler") is None
    assert parse_about(registers[:-1]) is None


def test_tools_that_the_board_takes_are_looked_for() -> None:
    none: dict[str, str | None] = {name: None for name in ("openocd", "st-flash", "pyocd", "picotool")}
    none |= {"arm-none-eabi-gdb": None, "gdb-multiarch": None}
    flash, debug = findings_of_tools(none, [BOARD])
    assert (flash.level, debug.level) == ("note", "note")
    assert "apt install openocd" in flash.text
    assert "picotool" not in flash.text
    flash, debug = findings_of_tools(none | {"st-flash": "/usr/bin/st-flash", "gdb-multiarch": "/usr/bin/g"}, [BOARD])
    assert (flash.level, debug.level) == ("ok", "ok")
    assert flash.text.startswith("st-flash; not here: openocd")
    known = {tool for board in list_boards() for tool in board.flash_tools}
    assert known <= set(TOOLS)


def test_no_port_is_wrong_and_says_what_to_do() -> None:
    diagnosis = diagnose_ports([], [BOARD])
    assert diagnosis.wrong
    assert "--virtual" in diagnosis.findings[-1].text
    assert json.loads(diagnosis_json(diagnosis))["wrong"] is True


class TestPorts:
    @pytest.fixture
    def terminal(self) -> Iterator[str]:
        """A pseudo-terminal that nobody answers at."""
        master, slave = pty.openpty()
        yield os.ttyname(slave)
        os.close(master)
        os.close(slave)

    def findings(self, examined: Examined) -> dict[str, tuple[str, str]]:
        return {finding.topic: (finding.level, finding.text) for finding in examined.findings}

    def test_the_usb_id_tells_which_boards_it_may_be(self) -> None:
        port = Port("/dev/ttyACM0", "2e8a:000c", "Debug Probe")
        assert boards_behind(port, list_boards()) == ("pico", "pico2")
        assert boards_behind(Port("/dev/pts/1"), list_boards()) == ()

    def test_a_device_is_asked_and_judged(self) -> None:
        """The firmware as a process on this machine has no caches, no FPU and no flags to tell of."""
        board = dataclasses.replace(BOARD, name="host")
        with device_on_a_pty() as (port, _):
            found = self.findings(examine_port(Port(port), [board]))
        assert found["baud"] == ("ok", "115,200")
        assert found["clock"][0] == "slow"
        assert found["kernels"][0] == "slow"
        assert found["data cache"][0] == "slow"
        assert found["flags"][0] == "note"

    def test_a_port_that_is_not_there(self) -> None:
        assert self.findings(examine_port(Port("/dev/ttyNone"), [BOARD]))["port"][0] == "wrong"

    def test_what_is_no_serial_port_is_said(self) -> None:
        """Though many have /dev/null open."""
        level, text = self.findings(examine_port(Port("/dev/null"), [BOARD]))["access"]
        assert level == "wrong"
        assert "/dev/null is not a serial port" in text

    def test_a_process_that_has_the_port_is_named(self, terminal: str) -> None:
        held = "import sys; port = open(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", held, terminal], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert process.pid in {holder.pid for holder in holders(terminal)}
            level, text = self.findings(examine_port(Port(terminal), [BOARD]))["access"]
            assert level == "wrong"
            assert f"process {process.pid}" in text
            process.communicate()
        assert holders(terminal) == ()

    def test_who_may_not_open_a_port_is_told_the_group(self) -> None:
        """Root may open anything: where the tests run as root, somebody else looks."""
        with tempfile.TemporaryDirectory() as folder:
            port = Path(folder) / "port"
            port.touch(0o600)
            assert refused_by(str(port)) is None
            group = port.group()
            port.chmod(0)
            port.parent.chmod(0o755)
            root = os.geteuid() == 0
            os.seteuid(65534 if root else os.geteuid())
            try:
                refused = refused_by(str(port))
            finally:
                os.seteuid(0 if root else os.geteuid())
        assert refused == group

    def test_udev_rules_name_every_board(self) -> None:
        rules = udev_rules(list_boards())
        for board in list_boards():
            for usb_id in board.usb_ids:
                vendor, product = usb_id.split(":")
                assert rules.count(f'ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}"') == 2


def test_a_diagnosis_is_wrong_when_one_port_is() -> None:
    fine = Examined(Port("a"), (), (), None)
    assert not Diagnosis({}, (), (fine,)).wrong
    assert Diagnosis({}, (), (fine, examine_port(Port("/dev/ttyNone"), [BOARD]))).wrong
