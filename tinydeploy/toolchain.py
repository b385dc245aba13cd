"""Project folder -> Image: runs the folder's own Makefile with zig or arm-none-eabi-gcc and reads the ELF."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Literal

from tinydeploy.errors import FitError, OutputError, ToolchainError
from tinydeploy.fit import Shortage, fit_error
from tinydeploy.image import Image, object_symbols, read_image

Toolchain = Literal["zig", "gcc"]

# "model/model.c:8:9: error: ..." of both compilers.
_DIAGNOSTIC = re.compile(
    r"^\S+:\d+:(?:\d+:)? (?:fatal )?error: .*|^\S+:(?:\d+|\(\S+\)): undefined reference to .*", re.MULTILINE
)
_ANY_ERROR = re.compile(r"^.*\berror: .*", re.MULTILINE)
_UNWRITABLE = re.compile(
    r"^.*(?:No space left on device|Permission denied|Read-only file system|Not a directory|File exists).*",
    re.MULTILINE,
)
_OVERFLOW = re.compile(r"region [`'](\w+)'(?::)? overflowed by (\d+) bytes")
_REGION = re.compile(r"^ *(\w+) \(\w+\) : ORIGIN = 0x[0-9A-F]+, LENGTH = (\d+)$", re.MULTILINE)
_BOARD_NAME = re.compile(r'^#define BOARD_NAME "(.*)"$', re.MULTILINE)


def find_zig() -> str | None:
    """The zig that was installed with tinydeploy (package ziglang), else one on PATH, else None."""
    spec = importlib.util.find_spec("ziglang")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in ("zig", "zig.exe"):
            if (Path(folder) / name).is_file():
                return str(Path(folder) / name)
    return shutil.which("zig")


def _make_arguments(toolchain: Toolchain) -> list[str]:
    """The variables that tell the Makefile which compiler to run. Raises ToolchainError when it is missing."""
    if shutil.which("make") is None:
        raise ToolchainError("make is not installed; install it (Debian and Ubuntu: apt install make)")
    if toolchain == "gcc":
        if shutil.which("arm-none-eabi-gcc") is None:
            raise ToolchainError(
                "arm-none-eabi-gcc is not installed; install it (Debian and Ubuntu: apt install gcc-arm-none-eabi) "
                "or build with --toolchain zig"
            )
        return ["TOOLCHAIN=gcc"]
    zig = find_zig()
    if zig is None:
        raise ToolchainError("zig is not installed; install it (pip install ziglang) or build with --toolchain gcc")
    return ["TOOLCHAIN=zig", f"ZIG={zig}"]


def _overflow_error(project: Path, output: str) -> FitError | None:
    """The FitError of a program that the linker could not place, or None if that is not what `output` says."""
    overflow: dict[str, int] = {}
    for region, excess in _OVERFLOW.findall(output):
        overflow[region] = max(overflow.get(region, 0), int(excess))
    if not overflow:
        return None
    region = max(overflow, key=lambda name: overflow[name])
    script = (project / "firmware/link.ld").read_text(encoding="utf-8")
    size = {name: int(length) for name, length in _REGION.findall(script)}[region]
    name = _BOARD_NAME.search((project / "firmware/board.h").read_text(encoding="utf-8"))
    board = name[1] if name else "the board"
    if region not in ("flash", "ram"):
        board = f"{board}'s {region}"
    memory: Literal["flash", "ram"] = "flash" if region == "flash" else "ram"
    contributors = tuple(object_symbols(project / "build/obj", memory))
    return fit_error("the firmware", board, Shortage(memory, size + overflow[region], size, contributors))


def _build_error(project: Path, toolchain: Toolchain, output: str) -> Exception:
    """What `output` of a failed make says, as one error with the first diagnostic."""
    unwritable = _UNWRITABLE.search(output)
    if unwritable is not None:
        place, what = project / "build", unwritable[0].strip()
        return OutputError(f"cannot write {place}: {what}; free space or choose another folder")
    overflow = _overflow_error(project, output)
    if overflow is not None:
        return overflow
    found = _DIAGNOSTIC.search(output) or _ANY_ERROR.search(output)
    lines = output.strip().splitlines() or ["make said nothing"]
    first = found[0].strip() if found else lines[0].strip()
    return ToolchainError(
        f"{toolchain} could not build {project}: {first}; `make -C {project} TOOLCHAIN={toolchain}` shows it all"
    )


def build_project(project: Path, toolchain: Toolchain = "zig") -> Image:
    """Build `project` with its Makefile, only what has changed, on all cores; return the Image.

    Raises ToolchainError (a tool is missing, or the first compiler error), FitError (the linker ran out of flash or
    RAM) and OutputError (the build folder cannot be written).
    """
    arguments = _make_arguments(toolchain)
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # A make above this one (make demo) must not lend its job server or its flags.
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    environment["LC_ALL"] = "C"
    result = subprocess.run(
        ["make", "-C", str(project), "--no-print-directory", f"-j{jobs}", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if result.returncode != 0:
        raise _build_error(project, toolchain, result.stdout)
    return read_image(project / "build/firmware.elf")
