"""The project folder: what is written, when, and how its own C library functions behave."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.firmware_project import SOURCES

from tinydeploy.boards import board_names, load_board
from tinydeploy.errors import OutputError
from tinydeploy.firmware import project_files, write_project
from tinydeploy.resources import resource_dir
from tinydeploy.toolchain import find_zig

F746 = load_board("stm32f746")


def defines(board_name: str) -> dict[str, str]:
    lines = str(project_files({}, load_board(board_name))["firmware/board.h"]).splitlines()
    pairs = [line.split(None, 2)[1:] for line in lines if line.startswith("#define ")]
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


@pytest.mark.parametrize("name", board_names())
def test_no_generated_file_has_a_path_or_a_leftover_of_the_template(name: str) -> None:
    for path, text in project_files({}, load_board(name)).items():
        assert isinstance(text, str)
        assert str(Path.cwd()) not in text, path
        assert "{{" not in text, path
        assert "{%" not in text, path


def test_board_h_holds_the_clock_tree_as_register_fields() -> None:
    found = defines("stm32f746")
    assert found["BOARD_CORE_HZ"] == "216000000u"
    assert found["BOARD_CLOCK_PPRE1"].startswith("5u ")  # RM0385 RCC_CFGR: 101 is AHB / 4
    assert found["BOARD_CLOCK_PPRE2"].startswith("4u ")  # 100 is AHB / 2
    assert found["BOARD_CLOCK_FALLBACK_PLL_M"] == "16u"  # HSI 16 MHz / 16 = HSE 25 MHz / 25
    assert found["BOARD_HAS_CACHES"] == "1"
    assert defines("nucleo_l4r5zi")["BOARD_HAS_CACHES"] == "0"


def test_board_h_holds_the_pins_of_the_uart() -> None:
    found = defines("nucleo_l4r5zi")
    assert found["BOARD_UART_TX_GPIO"] == "0x48001800u"  # port G
    assert (found["BOARD_UART_TX_PIN"], found["BOARD_UART_TX_FUNCTION"]) == ("7u", "8u")
    assert (found["BOARD_UART_RX_PIN"], found["BOARD_UART_RX_FUNCTION"]) == ("8u", "8u")
    assert found["BOARD_UART_TX_GPIO_ENABLE_BIT"] == "6u"


def test_a_second_write_changes_nothing(tmp_path: Path) -> None:
    changed = write_project(SOURCES, F746, tmp_path)
    assert {"Makefile", "firmware/board.h", "firmware/startup.c", "model/model.c"} <= set(changed)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert write_project(SOURCES, F746, tmp_path) == ()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    write_project(SOURCES, F746, tmp_path)
    sources = {**SOURCES, "model/model.h": f"{SOURCES['model/model.h']!s}\n/* more */\n", "model.tflite": b"\0\1"}
    assert write_project(sources, F746, tmp_path) == ("Makefile", "model.tflite", "model/model.h")
    assert (tmp_path / "model.tflite").read_bytes() == b"\0\1"


def test_a_source_takes_the_place_of_a_firmware_file(tmp_path: Path) -> None:
    write_project({**SOURCES, "firmware/fault.c": "/* mine */\n"}, F746, tmp_path)
    assert (tmp_path / "firmware/fault.c").read_text() == "/* mine */\n"


def test_files_of_a_former_run_go_but_the_users_own_stay(tmp_path: Path) -> None:
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware/mine.c").write_text("int mine;\n")
    write_project({**SOURCES, "model/kernels/old.c": "int old;\n"}, F746, tmp_path)
    assert write_project(SOURCES, F746, tmp_path) == ("Makefile", "model/kernels/old.c")
    assert not (tmp_path / "model/kernels/old.c").exists()
    assert (tmp_path / "firmware/mine.c").exists()


def test_a_makefile_of_somebody_else_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "precious.txt").write_text("keep")
    (tmp_path / "project/Makefile").write_text("GENERATED := ../precious.txt\n")
    write_project(SOURCES, F746, tmp_path / "project")
    assert (tmp_path / "precious.txt").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*file/project/.*; free space there or choose another folder"):
        write_project(SOURCES, F746, tmp_path / "file" / "project")


@pytest.mark.skipif(os.name != "posix", reason="needs resource limits")
def test_a_write_that_fails_half_way_leaves_no_file_behind(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match="File too large"):
            write_project({**SOURCES, "model.tflite": bytes(200_000)}, F746, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith((".", "model.tflite"))]


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """firmware_templates/memory.c, compiled for this machine."""
    folder = tmp_path_factory.mktemp("memory")
    library = folder / "memory.so"
    source = resource_dir("firmware_templates") / "memory.c"
    flags = ["-shared", "-fPIC", "-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fno-builtin"]
    subprocess.run([str(find_zig()), "cc", *flags, str(source), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    for name in ("memcpy", "memmove", "memset"):
        getattr(loaded, name).restype = ctypes.c_void_p
    return loaded


SIZES = st.integers(0, 70)
OFFSETS = st.integers(0, 9)


@given(size=SIZES, to=OFFSETS, source=OFFSETS)
@settings(deadline=None)
def test_memcpy_copies_these_bytes_and_no_others(memory: ctypes.CDLL, size: int, to: int, source: int) -> None:
    original = bytes(range(100))
    buffer = ctypes.create_string_buffer(b"\xee" * 100, 100)
    other = ctypes.create_string_buffer(original, 100)
    address = ctypes.addressof(buffer) + to
    start = ctypes.addressof(other) + source
    result = memory.memcpy(ctypes.c_void_p(address), ctypes.c_void_p(start), ctypes.c_size_t(size))
    assert result == address
    assert buffer.raw == b"\xee" * to + original[source : source + size] + b"\xee" * (100 - to - size)


@given(size=SIZES, to=OFFSETS, source=OFFSETS)
@settings(deadline=None)
def test_memmove_is_right_when_the_two_overlap(memory: ctypes.CDLL, size: int, to: int, source: int) -> None:
    original = bytes(range(100))
    buffer = ctypes.create_string_buffer(original, 100)
    base = ctypes.addressof(buffer)
    memory.memmove(ctypes.c_void_p(base + to), ctypes.c_void_p(base + source), ctypes.c_size_t(size))
    assert buffer.raw == original[:to] + original[source : source + size] + original[to + size :]


@given(size=SIZES, to=OFFSETS, value=st.integers(-300, 300))
@settings(deadline=None)
def test_memset_and_its_abi_forms_fill(memory: ctypes.CDLL, size: int, to: int, value: int) -> None:
    for name, arguments in [
        ("memset", (ctypes.c_int(value), ctypes.c_size_t(size))),
        ("__aeabi_memset4", (ctypes.c_size_t(size), ctypes.c_int(value))),
    ]:
        buffer = ctypes.create_string_buffer(b"\xee" * 100, 100)
        memory[name](ctypes.c_void_p(ctypes.addressof(buffer) + to), *arguments)
        assert buffer.raw == b"\xee" * to + bytes([value & 0xFF]) * size + b"\xee" * (100 - to - size)
    memory["__aeabi_memclr"](ctypes.c_void_p(ctypes.addressof(buffer) + to), ctypes.c_size_t(size))
    assert buffer.raw == b"\xee" * to + bytes(size) + b"\xee" * (100 - to - size)


@given(left=st.binary(max_size=40), right=st.binary(max_size=40))
@settings(deadline=None)
def test_memcmp_has_the_sign_of_the_first_difference(memory: ctypes.CDLL, left: bytes, right: bytes) -> None:
    size = min(len(left), len(right))
    result = memory.memcmp(left, right, ctypes.c_size_t(size))
    a, b = left[:size], right[:size]
    assert (result > 0) - (result < 0) == (a > b) - (a < b)


@given(text=st.binary(max_size=40).filter(lambda text: 0 not in text))
@settings(deadline=None)
def test_strlen_counts_to_the_zero(memory: ctypes.CDLL, text: bytes) -> None:
    memory.strlen.restype = ctypes.c_size_t
    assert memory.strlen(text) == len(text)


def test_importing_firmware_does_not_import_the_template_engine() -> None:
    """`tinydeploy --help` must be fast: only a build pays for Jinja."""
    code = (
        "import sys, tinydeploy.firmware, tinydeploy.toolchain as _; print({'jinja2', 'elftools'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
