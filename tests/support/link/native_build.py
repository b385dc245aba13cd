"""Compiles the firmware's link for the machine that runs the tests."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_NATIVE = Path(__file__).with_name("native")
_FIRMWARE = Path(__file__).parents[3] / "firmware_templates"
_WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-g", "-O1")
_SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="link-native-")  # removed when the tests' process ends


def _folder() -> Path:
    return Path(_temporary().name)


@functools.cache
def _compiler() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The host's compiler and its sanitizer flags; zig, which has no host sanitizers, where there is none."""
    for name in ("gcc", "clang", "cc"):
        if found := shutil.which(name):
            probe = _folder() / "probe"
            done = subprocess.run(
                [found, *_SANITIZE, "-x", "c", "-", "-o", str(probe)], input=b"int main(void){return 0;}", check=False
            )
            if done.returncode == 0 and subprocess.run([probe], check=False).returncode == 0:
                return (found,), _SANITIZE
    return (sys.executable, "-m", "ziglang", "cc"), ()


def _compile(out: Path, sources: list[Path], includes: tuple[Path, ...], *flags: str) -> Path:
    compiler, sanitize = _compiler()
    searched = [f"-I{folder}" for folder in (_FIRMWARE, *includes)]
    command = [*compiler, *_WARNINGS, *(() if "-shared" in flags else sanitize), *flags, *searched]
    subprocess.run([*command, *map(str, sources), "-o", str(out)], check=True)
    return out


@functools.cache
def device_program() -> Path:
    """The firmware's main as a program: UART on standard input and output, a model that turns its input around."""
    return device_program_of(_NATIVE / "model", _folder() / "device")


def device_program_of(model: Path, out: Path, *flags: str) -> Path:
    """The firmware's main around the generated sources in the folder `model`, as the program `out`."""
    hardware = _NATIVE / "hardware"
    sources = [
        _FIRMWARE / "main.c",
        _FIRMWARE / "link.c",
        _FIRMWARE / "frame.c",
        *sorted(_FIRMWARE.glob("mlperf*.c")),
        hardware / "host.c",
        *sorted(model.rglob("*.c")),
    ]
    return _compile(out, sources, (hardware, model), *flags)


@functools.cache
def decoder_program() -> Path:
    """Standard input through the device's frame decoder: one line per event."""
    return _compile(_folder() / "decoder", [_FIRMWARE / "frame.c", _NATIVE / "decoder.c"], ())


@functools.cache
def device_library() -> Path:
    """The device as a shared library, for deterministic tests in this process."""
    return device_library_of(_NATIVE / "model", _folder() / "device.so")


def device_library_of(model: Path, out: Path) -> Path:
    """The firmware's link around the sources in the folder `model`, as the shared library `out`."""
    sources = [_FIRMWARE / "link.c", _FIRMWARE / "frame.c", _NATIVE / "inprocess.c", *sorted(model.rglob("*.c"))]
    return _compile(out, sources, (model,), "-shared", "-fPIC")


@functools.cache
def fuzzer_program() -> Path | None:
    """The fuzzer of native/fuzz around both protocols of the firmware; None without a compiler that has sanitizers.

    The firmware's code alone tells which blocks it reaches.
    """
    if not _compiler()[1]:
        return None
    hardware, model = _NATIVE / "hardware", _NATIVE / "model"
    objects = []
    for source in (*sorted(_FIRMWARE.glob("mlperf*.c")), _FIRMWARE / "link.c", _FIRMWARE / "frame.c"):
        out = _folder() / f"fuzzed-{source.stem}.o"
        objects.append(_compile(out, [source], (hardware, model), "-c", "-fsanitize-coverage=trace-pc"))
    sources = [*sorted((_NATIVE / "fuzz").glob("*.c")), hardware / "host.c", model / "model.c", *objects]
    return _compile(_folder() / "fuzzer", sources, (hardware, model, _NATIVE / "fuzz"))
