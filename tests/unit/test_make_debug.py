"""`make debug` starts a server for GDB and GDB itself, or says what is missing. The tools are scripts that tell."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.firmware_project import SOURCES

from tinydeploy.boards import load_board
from tinydeploy.firmware import write_project
from tinydeploy.toolchain import build_project, find_zig


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("debug")
    write_project(SOURCES, load_board("nucleo_f411re"), folder)
    build_project(folder, "zig")
    return folder


def make_debug(project: Path, tools: Path, *found: str) -> subprocess.CompletedProcess[str]:
    """Run it with nothing on PATH but the usual shell tools and scripts of the names `found`.

    The script of a GDB waits for the server to be there, as the real one does: make ends the server with GDB.
    """
    tools.mkdir()
    usual = "sh make mkdir cmp echo mv od awk head tail cat grep sed test sleep"
    for name in usual.split():
        real = shutil.which(name)
        if real:
            (tools / name).symlink_to(real)
    for name in found:
        script = tools / name
        wait = f"until test -s {tools}/said; do sleep 0.01; done\n" if "gdb" in name else ""
        script.write_text(f'#!/bin/sh\n{wait}echo "{name} $*" >> {tools}/said\n')
        script.chmod(0o755)
    environment = {"PATH": str(tools), "HOME": os.environ.get("HOME", "/")}
    command = ["make", "-C", str(project), "debug", f"ZIG={find_zig()}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(
    ("tools", "server"),
    [
        (("openocd", "gdb-multiarch"), "openocd -f interface/stlink.cfg -f target/stm32f4x.cfg"),
        (("pyocd", "arm-none-eabi-gdb"), "pyocd gdbserver --target stm32f411retx"),
    ],
)
def test_the_server_and_gdb_are_started(project: Path, tools: tuple[str, ...], server: str, tmp_path: Path) -> None:
    run = make_debug(project, tmp_path / "bin", *tools)
    assert run.returncode == 0, run.stderr
    said = (tmp_path / "bin/said").read_text().splitlines()
    assert server in said
    assert f"{tools[1]} build/firmware.elf -ex set tcp connect-timeout 15 -ex target extended-remote :3333" in "".join(
        said
    )


def test_what_is_missing_is_said(project: Path, tmp_path: Path) -> None:
    assert "found neither openocd nor pyocd; install one" in make_debug(project, tmp_path / "none").stderr
    assert "found no GDB; install one" in make_debug(project, tmp_path / "no-gdb", "openocd").stderr
