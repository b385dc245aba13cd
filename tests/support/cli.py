"""Runs the real command line in a process of its own, as a user does."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-m", "tinydeploy")


@dataclass(frozen=True, slots=True)
class Result:
    """What a run printed and how it ended; `cpu_s` is the processor time of it and all its children."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str
    cpu_s: float


def environment(**changes: str) -> dict[str, str]:
    """The environment of a terminal of 100 columns, with nothing that would colour or widen the output."""
    dropped = {"FORCE_COLOR", "CLICOLOR_FORCE", "NO_COLOR", "MAKEFLAGS", "MAKELEVEL"}
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return {**kept, "COLUMNS": "100", "TERM": "dumb", **changes}


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """``tinydeploy`` under way in the folder `cwd`, the leader of a group of its own, as a terminal's commands are."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment(PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextmanager
def running(*arguments: object, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until Ctrl-C, which ends it well and without a word of complaint."""
    process = start(*arguments, cwd=cwd)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def tinydeploy(*arguments: object, cwd: Path, **changes: str) -> Result:
    """Run ``tinydeploy`` with `arguments` in the folder `cwd`."""
    words = tuple(str(argument) for argument in arguments)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Result(words, done.returncode, done.stdout, done.stderr, cpu_s)


def succeeds(*arguments: object, cwd: Path) -> Result:
    """Run it and insist that it ends well."""
    result = tinydeploy(*arguments, cwd=cwd)
    assert result.code == 0, f"tinydeploy {' '.join(result.arguments)}\n{result.err}\n{result.out}"
    return result


def refused(*arguments: object, cwd: Path) -> str:
    """Run it, insist that it is refused as a user's mistake is, and return the sentence."""
    result = tinydeploy(*arguments, cwd=cwd)
    assert result.code == 2, f"exit code {result.code}\n{result.err}\n{result.out}"
    assert "Traceback" not in result.err + result.out
    assert result.out == ""
    *stages, last = result.err.splitlines()
    assert last.startswith("error: "), result.err
    assert not [line for line in stages if line.startswith(("error", "Error", "Usage"))]
    message = last.removeprefix("error: ")
    assert 10 < len(message) < 600
    return message


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` and its bytes, without the two records that hold times and the place."""
    records = {
        path.relative_to(folder).as_posix()
        for name in ("stamp.json", "compiler")
        for path in folder.rglob(f"build/{name}")
    }
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in records
    }


def names(folder: Path) -> list[str]:
    """What lies directly in `folder`."""
    return sorted(path.name for path in folder.iterdir())
