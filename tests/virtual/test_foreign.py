"""Firmware that tinydeploy did not build, on the virtual board: interrupts, timers, faults, .elf, .hex and .bin."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import serial

from tinydeploy.cli import main
from tinydeploy.errors import FirmwareFaultError, ToolchainError

pytest.importorskip("unicorn")
from tinydeploy.virtual import VirtualBoard
from tinydeploy.virtual.image import ElfImage
from tinydeploy.virtual.plain_image import read_image
from tinydeploy.virtual.wiring import setup_named

SOURCE = Path(__file__).with_name("foreign.c").read_text()
SCRIPT = """
ENTRY(Reset_Handler)
MEMORY { FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 512K  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 64K }
SECTIONS
{
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
  .bss (NOLOAD) : { __bss_start = .; *(.bss*) *(COMMON) . = ALIGN(4); __bss_end = .; } > RAM
  /DISCARD/ : { *(.ARM.exidx*) *(.ARM.extab*) }
}
__stack_top = ORIGIN(RAM) + LENGTH(RAM);
"""
CHIPS = {"nucleo_g0b1re": ("m0plus", "-DCHIP_G0B1"), "nucleo_u575zi": ("m33", "-DCHIP_U575")}
boards = pytest.mark.parametrize("board", CHIPS)


@pytest.fixture
def elf(compile_c: object, board: str) -> Path:
    core, define = CHIPS[board]
    assert callable(compile_c)
    path = compile_c(core, SOURCE, define, script=SCRIPT)
    assert isinstance(path, Path)
    return path


def boot(board: str, firmware: Path, **options: object) -> VirtualBoard:
    device = VirtualBoard(setup_named(board), firmware, strict=False, **options)  # type: ignore[arg-type]
    assert told(device, b"") == b"ready\n"
    return device


def told(device: VirtualBoard, command: bytes, seconds: float = 0.1) -> bytes:
    device.uart_send(command)
    device.run(seconds)
    return device.uart_receive()


@boards
def test_interrupts_nest_by_priority_and_pendsv_comes_last(board: str, elf: Path) -> None:
    device = boot(board, elf)
    assert told(device, b"n") == b"<abAp>"
    assert device.notes == []


@boards
def test_the_uart_sends_and_receives_by_interrupts(board: str, elf: Path) -> None:
    text = bytes(range(0x30, 0x5B)) * 3
    assert told(boot(board, elf), text) == text


@boards
def test_a_timer_keeps_time_with_systick(board: str, elf: Path) -> None:
    """Four milliseconds at 8 kHz; the wait begins anywhere between two ticks."""
    assert 24 <= int(told(boot(board, elf), b"t")) <= 33


@boards
def test_a_fault_reaches_the_firmwares_handler(board: str, elf: Path) -> None:
    heard: list[str] = []
    device = boot(board, elf, on_fault="vector", told=heard.append)
    pc = re.fullmatch(rb"fault ([0-9a-f]{8})", told(device, b"f"))
    assert pc is not None
    assert ElfImage(elf).function_at(int(pc[1], 16)) == "read_nothing"
    what = r"the firmware reads 4 bytes at 0x70000000, where nothing is mapped; (Bus|Hard)Fault is taken"
    assert re.search(rf"\.c:\d+, read_nothing .*: {what}", heard[-1])


@boards
def test_a_fault_is_told_with_function_and_line(board: str, elf: Path) -> None:
    device = boot(board, elf)
    line = next(number for number, text in enumerate(SOURCE.splitlines(), 1) if "REG(0x70000000)" in text)
    with pytest.raises(FirmwareFaultError, match=rf"\.c:{line}, read_nothing .*reads 4 bytes at 0x70000000"):
        told(device, b"f")


@boards
def test_unmodelled_registers_and_broken_rules_are_noted_once(board: str, elf: Path) -> None:
    heard: list[str] = []
    device = boot(board, elf, told=heard.append)
    assert told(device, b"u") + told(device, b"u") == b"1234\n1234\n"
    assert heard == device.notes
    unknown, rule = device.notes
    assert unknown == "address 0x4000fc04 is not modelled: it keeps what is written to it"
    assert re.search(r"foreign|program.*\.c:\d+, main .*: the firmware writes GPIOB while its clock is off", rule)


@boards
def test_plain_bytes_and_intel_hex_run_like_the_elf(board: str, elf: Path, tmp_path: Path) -> None:
    segment = next(segment for segment in ElfImage(elf).segments if segment.data)
    plain, text = tmp_path / "firmware.bin", tmp_path / "firmware.hex"
    plain.write_bytes(segment.data)
    text.write_text(intel_hex(segment.load_address, segment.data))
    seen = {path.suffix: boot(board, path) for path in (elf, plain, text)}
    assert {told(device, b"n") for device in seen.values()} == {b"<abAp>"}
    assert len({device.cycles for device in seen.values()}) == 1


def test_emulate_offers_the_foreign_firmwares_uart_as_a_port(compile_c: object) -> None:
    assert callable(compile_c)
    elf = compile_c("m0plus", SOURCE, "-DCHIP_G0B1", script=SCRIPT)
    command = [sys.executable, "-m", "tinydeploy", "emulate", "--board", "nucleo_g0b1re", str(elf)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"nucleo_g0b1re runs \S+; its UART is (\S+)    .*\n", process.stdout.readline())
        assert found is not None
        with serial.Serial(found[1], 115_200, timeout=60) as port:
            port.write(b"n")
            assert b"<abAp>" in port.read_until(b"p>")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.mark.parametrize("content", [b"#!/bin/sh\n" * 9, b"\xff" * 4096, bytes(4096)])
@boards
def test_what_has_no_vector_table_of_the_chip_does_not_start(board: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(FirmwareFaultError, match=r"other\.bin: its vector table has the stack at 0x.*; name firmware"):
        VirtualBoard(setup_named(board), path, strict=False, on_fault="vector")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--board", "nucleo_g0b1re"), "runs a firmware file: name it"),
        (("--board", "nucleo_g0b1re", "."), ". is a folder: a project knows its board, leave --board away"),
        ((__file__,), f"{__file__} is a file: name the board that runs it, as in --board stm32f746"),
    ],
)
def test_emulate_wants_a_file_with_a_board(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["emulate", *arguments])
    assert ended.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def intel_hex(address: int, data: bytes) -> str:
    def record(offset: int, kind: int, content: bytes) -> str:
        body = bytes([len(content)]) + offset.to_bytes(2, "big") + bytes([kind]) + content
        return f":{body.hex()}{-sum(body) & 0xFF:02x}\n".upper()

    lines = [record(0, 4, (address >> 16).to_bytes(2, "big"))]
    lines += [record(address + at & 0xFFFF, 0, data[at : at + 16]) for at in range(0, len(data), 16)]
    return "".join([*lines, record(0, 1, b"")])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("short.bin", b"\x00\x01", "cannot hold a vector table"),
        ("wrong.hex", b":10000000\n", "wrong.hex:1: not a record of Intel HEX"),
        ("digits.hex", b":020000040800zz\n", "digits.hex:1: not a record of Intel HEX"),
        ("plain.hex", bytes(range(64)), "plain.hex:1: not a record of Intel HEX"),
        ("cut.hex", b":020000040800F2\n", "cut.hex: its last record is not Intel HEX's end record"),
        ("sum.hex", b":0100000055AB\n", "sum.hex:1: not a record"),
    ],
)
def test_what_is_no_firmware_is_refused(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ToolchainError, match=words):
        read_image(path, 0x0800_0000)
    with pytest.raises(ToolchainError, match="cannot be read"):
        read_image(tmp_path / "absent.bin", 0x0800_0000)
