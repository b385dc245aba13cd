"""The project folder builds with zig and with gcc, to the same bytes anywhere, and says why when it cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from support.firmware_project import MODEL_C, SOURCES

from tinydeploy.boards import Board, load_board
from tinydeploy.errors import FitError, OutputError, ToolchainError
from tinydeploy.firmware import write_project
from tinydeploy.fit import lacking, require_fit
from tinydeploy.image import Image, read_image
from tinydeploy.resources import resource_dir
from tinydeploy.toolchain import Toolchain, build_project, find_zig

needs_gcc = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
TOOLCHAINS = ["zig", pytest.param("gcc", marks=needs_gcc)]
Built = tuple[Board, Path, Image]


def build(folder: Path, toolchain: Toolchain, board: Board | None = None, **sources: str) -> Image:
    write_project({**SOURCES, **sources}, board or load_board("stm32f746"), folder)
    return build_project(folder, toolchain)


@pytest.fixture(scope="module", params=TOOLCHAINS)
def toolchain(request: pytest.FixtureRequest) -> Toolchain:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=["stm32f746", "nucleo_l4r5zi", "nucleo_f411re"])
def built(request: pytest.FixtureRequest, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A board, a folder and the Image, built with every warning an error."""
    board = load_board(request.param)
    folder = tmp_path_factory.mktemp("project")
    write_project(SOURCES, board, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARNINGS", "-Wall -Wextra -Werror")
        return board, folder, build_project(folder, toolchain)


def loaded_bytes(elf_path: Path, board: Board) -> bytes:
    """What the ELF's segments put into flash, from its start."""
    content = bytearray()
    with elf_path.open("rb") as file:
        for segment in ELFFile(file).iter_segments():
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                start = segment["p_paddr"] - board.flash.origin
                content.extend(bytes(max(0, start - len(content))))
                content[start : start + segment["p_filesz"]] = segment.data()
    return bytes(content)


def read_hex(text: str) -> dict[int, int]:
    """Intel HEX -> address: byte, each record's checksum checked."""
    upper, content = 0, {}
    for line in text.split():
        record = bytes.fromhex(line[1:])
        assert line[0] == ":"
        assert sum(record) % 256 == 0
        count, offset, kind, data = record[0], int.from_bytes(record[1:3], "big"), record[3], record[4:-1]
        assert len(data) == count
        if kind == 4:
            upper = int.from_bytes(data, "big") << 16
        elif kind == 0:
            content.update({upper + offset + i: byte for i, byte in enumerate(data)})
    return content


def test_vector_table_begins_flash_with_stack_top_and_an_odd_reset_vector(built: Built) -> None:
    board, _, image = built
    vectors = image.section(".vectors")
    assert vectors is not None
    assert (vectors.address, vectors.size_bytes) == (board.flash.origin, 4 * (16 + board.irq_count))
    table = memoryview(image.bin.read_bytes()[: vectors.size_bytes]).cast("I")
    reset = image.symbol("Reset_Handler")
    handler, uart = image.symbol("fault_handler"), image.symbol("uart_irq_handler")
    assert reset is not None
    assert handler is not None
    assert uart is not None
    assert table[0] == board.stack.origin + board.stack_bytes
    assert table[1] == reset.address + 1
    assert table[16 + board.uart.irq] == uart.address + 1
    others = {entry for index, entry in enumerate(table) if index not in (0, 1, 16 + board.uart.irq)}
    assert others == {handler.address + 1}


def test_elf_entry_is_the_reset_handler(built: Built) -> None:
    _, _, image = built
    reset = image.symbol("Reset_Handler")
    assert reset is not None
    with image.elf.open("rb") as file:
        assert ELFFile(file)["e_entry"] == reset.address + 1


def test_no_soft_float_is_linked_on_parts_with_an_fpu(built: Built) -> None:
    _, _, image = built
    soft = [s.name for s in image.symbols if re.match(r"__aeabi_[fd]|__\w+[sd]f[23]?$|__(fix|float)", s.name)]
    assert soft == []


def test_bin_and_hex_hold_what_the_elf_loads(built: Built, tmp_path: Path) -> None:
    board, _, image = built
    expected = loaded_bytes(image.elf, board)
    assert image.bin.read_bytes() == expected
    objcopy = shutil.which("arm-none-eabi-objcopy")
    if objcopy is not None:
        subprocess.run([objcopy, "-O", "binary", str(image.elf), str(tmp_path / "bin")], check=True)
        assert (tmp_path / "bin").read_bytes() == expected
    content = read_hex(image.hex.read_text())
    assert min(content) == board.flash.origin
    assert all(expected[address - board.flash.origin] == byte for address, byte in content.items())
    assert len(content) == len(expected)


def test_sections_lie_in_their_memories_and_are_counted(built: Built) -> None:
    board, _, image = built
    for section in image.sections:
        memory = {"flash": board.flash, "both": board.ram, "ram": board.ram}[section.memory]
        if section.name == ".model_bss":
            memory = board.arena[0]
        if section.name == ".stack":
            memory = board.stack
            assert section.address == memory.origin
        assert memory.origin <= section.address <= section.address + section.size_bytes <= memory.end, section
    gaps = len(image.bin.read_bytes()) - image.flash_bytes
    assert 0 <= gaps < 64
    assert image.ram_bytes == sum(s.size_bytes for s in image.sections if s.memory != "flash")


def size_of(image: Image, name: str) -> int:
    symbol = image.symbol(name)
    assert symbol is not None, name
    return symbol.size_bytes


def test_sizes_of_the_model_are_those_of_its_symbols(built: Built) -> None:
    _, _, image = built
    assert size_of(image, "model_arena") == 5000
    assert size_of(image, "model_table") == 256
    assert image.symbol("nothing") is None
    symbols = sum(size_of(image, name) for name in ("model_invoke", "model_table", "model_count"))
    assert symbols <= image.model_flash_bytes < symbols + 32
    assert 5004 <= image.model_ram_bytes < 5004 + 16
    assert image.largest("ram", 2)[0] == ("model_arena", 5000)


def test_a_second_build_does_nothing_and_takes_under_a_second(built: Built, toolchain: Toolchain) -> None:
    board, folder, image = built
    before = {path: path.stat().st_mtime_ns for path in (folder / "build").rglob("*") if path.is_file()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARNINGS", "-Wall -Wextra -Werror")
        start = time.monotonic()
        assert write_project(SOURCES, board, folder) == ()
        assert build_project(folder, toolchain) == image
        assert time.monotonic() - start < 1.0
    assert {path: path.stat().st_mtime_ns for path in (folder / "build").rglob("*") if path.is_file()} == before


def test_the_same_sources_give_the_same_bytes_in_another_folder(toolchain: Toolchain, tmp_path: Path) -> None:
    one = build(tmp_path / "one", toolchain)
    two = build(tmp_path / "a deeper" / "folder with spaces", toolchain)
    for kind in ("elf", "bin", "hex"):
        assert getattr(one, kind).read_bytes() == getattr(two, kind).read_bytes(), kind
    assert str(tmp_path).encode() not in one.elf.read_bytes()
    assert str(Path(find_zig() or "none").parent).encode() not in one.elf.read_bytes()


def test_a_changed_header_compiles_what_includes_it_and_a_removed_source_links_again(
    toolchain: Toolchain, tmp_path: Path
) -> None:
    extra = {"model/extra.c": "int model_extra(void);\nint model_extra(void) {\n    return 1;\n}\n"}
    build(tmp_path, toolchain, **extra)
    stamp = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "build").rglob("*.o")}
    first = (tmp_path / "build/firmware.elf").stat().st_mtime_ns
    changed = SOURCES["model/model.h"]
    assert isinstance(changed, str)
    build(tmp_path, toolchain, **{"model/model.h": changed + "\n/* changed */\n"}, **extra)
    newer = {p.name for p in (tmp_path / "build").rglob("*.o") if p.stat().st_mtime_ns != stamp[p.name]}
    assert newer == {"model.o", "main.o"}
    second = (tmp_path / "build/firmware.elf").stat().st_mtime_ns
    assert second > first
    build(tmp_path, toolchain)
    assert (tmp_path / "build/firmware.elf").stat().st_mtime_ns > second


@needs_gcc
def test_changing_the_toolchain_compiles_everything_again(tmp_path: Path) -> None:
    def compilers(image: Image) -> set[bytes]:
        comment = image.elf.read_bytes()
        return {name for name in (b"GCC: (", b"clang version") if name in comment}

    zig = build(tmp_path, "zig")
    assert compilers(zig) == {b"clang version"}
    before = zig.bin.read_bytes()
    assert compilers(build(tmp_path, "gcc")) == {b"GCC: ("}
    assert build(tmp_path, "zig").bin.read_bytes() == before


def test_the_first_compiler_error_is_told_with_its_line(toolchain: Toolchain, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        build(tmp_path, toolchain, **{"model/model.c": MODEL_C + "int broken = ;\n"})
    place = f"model/model.c:{MODEL_C.count(chr(10)) + 1}:14"
    assert f"{toolchain} could not build {tmp_path}: {place}: error: expected expression" in str(caught.value)


def test_a_symbol_that_is_missing_is_named(toolchain: Toolchain, tmp_path: Path) -> None:
    call = "int nowhere(void);\nint model_more(void);\nint model_more(void) {\n    return nowhere();\n}\n"
    main = str(SOURCES["firmware/main.c"]).replace("uart_flush();", "extern int model_more(void);\nmodel_more();")
    with pytest.raises(ToolchainError, match=r"undefined (reference to|symbol:) .?nowhere"):
        build(tmp_path, toolchain, **{"model/more.c": call, "firmware/main.c": main})


def test_too_much_ram_names_needs_haves_and_the_largest(toolchain: Toolchain, tmp_path: Path) -> None:
    with pytest.raises(FitError) as caught:
        build(tmp_path, toolchain, **{"model/model.c": MODEL_C.replace("[5000]", "[300000]")})
    found = re.fullmatch(
        r"the firmware needs ([\d,]+) B of RAM, stm32f746's dtcm has 65,536 B; largest: model_arena \(300,000 B\), "
        r"rx_ring \(2,048 B\), tx_ring \(512 B\)\. Try --alpha 0\.25 or --input-size 48, or a board with more RAM\.",
        str(caught.value),
    )
    assert found is not None
    assert 308_000 < int(found[1].replace(",", "")) < 310_000  # the stack lies there too


def test_too_much_flash_names_needs_haves_and_the_largest(toolchain: Toolchain, tmp_path: Path) -> None:
    model = MODEL_C.replace("model_table[64]", "model_table[300000]").replace("% 64", "% 300000")
    with pytest.raises(FitError) as caught:
        build(tmp_path, toolchain, **{"model/model.c": model})
    assert " B of flash, stm32f746 has 1,048,576 B; largest: model_table (1,200,000 B), " in str(caught.value)


def test_the_run_time_library_is_linked_when_the_core_lacks_an_instruction(
    toolchain: Toolchain, tmp_path: Path
) -> None:
    """64-bit division, which no Cortex-M has."""
    model = MODEL_C.replace("uint32_t model_count = 7;", "uint32_t model_count = 7;\nvolatile uint64_t model_wide = 9;")
    model = model.replace("model_arena[i];", "model_arena[i];\n        model_wide = 1000000007u / model_wide;")
    image = build(tmp_path, toolchain, **{"model/model.c": model})
    assert image.symbol("__aeabi_uldivmod") is not None
    assert image.bin.read_bytes() == loaded_bytes(image.elf, load_board("stm32f746"))


def test_what_fits_exactly_is_not_refused() -> None:
    require_fit("arena", "stm32f746", lacking("ram", 1000, 1000, []))
    with pytest.raises(FitError) as caught:
        require_fit("arena", "stm32f411", lacking("ram", 331_776, 131_072, [("a", 5), ("conv_pw_1", 221_184)]))
    assert str(caught.value) == (
        "arena needs 331,776 B of RAM, stm32f411 has 131,072 B; largest: conv_pw_1 (221,184 B), a (5 B). "
        "Try --alpha 0.25 or --input-size 48, or a board with more RAM."
    )


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A folder for PATH with the shell tools that the Makefile may use, and no compiler and no flash tool."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "make", "cmp", "mkdir", "mv", "rm", "sed", "cat", "grep", "od", "awk", "head", "tail"):
        found = shutil.which(tool)
        assert found is not None, tool
        (folder / tool).symlink_to(found)
    return folder


def make(folder: Path, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": str(path)}
    command = ["make", "-C", str(folder), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_missing_tools_are_named_with_what_to_install(
    bare_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(SOURCES, load_board("stm32f746"), tmp_path / "project")
    monkeypatch.setenv("PATH", str(bare_path))
    with pytest.raises(ToolchainError, match=r"arm-none-eabi-gcc is not installed; install it .*apt install gcc-arm"):
        build_project(tmp_path / "project", "gcc")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ToolchainError, match=r"zig is not installed; install it \(pip install ziglang\)"):
        build_project(tmp_path / "project", "zig")
    (bare_path / "make").unlink()
    with pytest.raises(ToolchainError, match=r"make is not installed; install it .*apt install make"):
        build_project(tmp_path / "project", "zig")


def test_make_alone_says_what_to_install_when_the_compiler_is_missing(bare_path: Path, tmp_path: Path) -> None:
    write_project(SOURCES, load_board("stm32f746"), tmp_path / "project")
    zig = make(tmp_path / "project", bare_path)
    assert zig.returncode != 0
    assert "install zig (pip install ziglang" in zig.stderr
    gcc = make(tmp_path / "project", bare_path, "TOOLCHAIN=gcc")
    assert "install arm-none-eabi-gcc" in gcc.stderr
    wrong = make(tmp_path / "project", bare_path, "TOOLCHAIN=clang")
    assert "TOOLCHAIN is 'clang'; it must be zig or gcc" in wrong.stderr


def test_make_builds_without_python_and_clean_removes_it(tmp_path: Path, bare_path: Path) -> None:
    write_project(SOURCES, load_board("stm32f746"), tmp_path / "project")
    (bare_path / "zig").symlink_to(str(find_zig()))
    done = make(tmp_path / "project", bare_path, "-j2")
    assert done.returncode == 0, done.stderr
    assert read_image(tmp_path / "project/build/firmware.elf").flash_bytes > 0
    assert make(tmp_path / "project", bare_path, "clean").returncode == 0
    assert not (tmp_path / "project/build").exists()


def test_make_flash_without_a_tool_says_what_to_install(bare_path: Path, tmp_path: Path) -> None:
    write_project(SOURCES, load_board("stm32f746"), tmp_path / "project")
    done = make(tmp_path / "project", bare_path, "flash")
    assert done.returncode != 0
    assert "make flash: found none of openocd, st-flash, pyocd; install one: apt install openocd" in done.stderr


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        (
            ("pyocd", "openocd", "st-flash"),
            ["openocd -f interface/stlink.cfg -f target/stm32f7x.cfg -c program build/firmware.elf verify reset exit"],
        ),
        (
            ("pyocd", "st-flash"),
            ["st-flash --connect-under-reset --reset write build/firmware.bin 0x08000000"],
        ),
        (
            ("pyocd",),
            ["pyocd load --target stm32f746nghx build/firmware.elf", "pyocd reset --target stm32f746nghx"],
        ),
    ],
)
def test_make_flash_runs_the_first_tool_that_is_there(
    tools: tuple[str, ...], expected: list[str], bare_path: Path, tmp_path: Path
) -> None:
    """With scripts in the place of the tools that note how they were called."""
    build(tmp_path / "project", "zig")
    for tool in tools:
        script = bare_path / tool
        script.write_text(f'#!/bin/sh\necho "{tool} $*" >> {tmp_path}/calls\n')
        script.chmod(0o755)
    done = make(tmp_path / "project", bare_path, "flash", f"ZIG={find_zig()}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text().splitlines() == expected


def test_a_build_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    write_project(SOURCES, load_board("stm32f746"), tmp_path)
    (tmp_path / "build").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*build: .*; free space or choose another folder"):
        build_project(tmp_path, "zig")


def test_a_file_that_is_no_elf_is_named(tmp_path: Path) -> None:
    (tmp_path / "firmware.elf").write_bytes(b"nonsense")
    with pytest.raises(ToolchainError, match=r"firmware\.elf is not an ELF file .*delete the build folder"):
        read_image(tmp_path / "firmware.elf")
    with pytest.raises(ToolchainError, match=r"none\.elf cannot be read: No such file"):
        read_image(tmp_path / "none.elf")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("stm32f746", {"source": '"hsi"', "hse_hz": None, "hse_bypass": None, "pll_m": "16"}),
        ("stm32f746", {"hse_hz": "8_000_000", "hse_bypass": "true", "pll_m": "8"}),
        ("stm32f746", {"over_drive": "false", "sysclk_hz": "180_000_000", "pll_n": "360", "flash_wait_states": "5"}),
        ("nucleo_l4r5zi", {"source": '"msi"', "pll_m": "1"}),
        ("nucleo_l4r5zi", {"source": '"hse"\nhse_hz = 8_000_000\nhse_bypass = true', "pll_m": "2"}),
        ("nucleo_l4r5zi", {"boost": "false", "sysclk_hz": "80_000_000", "pll_n": "40", "flash_wait_states": "3"}),
    ],
)
def test_every_clock_source_and_mode_of_the_drivers_compiles(
    name: str, changes: dict[str, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARNINGS", "-Wall -Wextra -Werror")
    text = (resource_dir("boards") / f"{name}.toml").read_text(encoding="utf-8")
    for key, value in changes.items():
        text = re.sub(rf"^{key} =.*$", f"{key} = {value}" if value else "", text, flags=re.MULTILINE)
    path = tmp_path / "variant.toml"
    path.write_text(text, encoding="utf-8")
    assert size_of(build(tmp_path / "project", "zig", load_board(str(path))), "clock_init") > 0


def test_zig_builds_without_a_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert build(tmp_path, "zig").flash_bytes > 0
