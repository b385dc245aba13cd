"""Is a project folder up to date? A stamp beside it names what it was made from and how its files looked then.

Files count by size and time of change, so that the answer takes milliseconds; a wrong "changed" costs only a rebuild
that writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from tinydeploy.boards import Board
from tinydeploy.errors import OutputError, UsageError
from tinydeploy.files import write_if_changed
from tinydeploy.resources import resource_dir

_STAMP = Path("build", "stamp.json")


def digest(*parts: object) -> str:
    """SHA-256, in hex, of the parts' representations."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def file_state(path: Path) -> str:
    """The content of a file that is worth reading: a model, samples. Raises UsageError where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def tool_state() -> str:
    """This tinydeploy: every Python file and template by size and time of change."""
    package = Path(__file__).parent
    templates = [*package.rglob("*.j2"), *resource_dir("firmware_templates").rglob("*")]
    files = [*package.rglob("*.py"), *(path for path in templates if path.is_file())]
    return digest(*(sorted(_look(path) for path in files)))


def board_state(board: Board) -> str:
    """Every fact of a board."""
    return digest(board)


def is_current(folder: Path, key: str) -> bool:
    """Whether the project in `folder` was made from what `key` digests, and its files are as they were left."""
    try:
        stored = json.loads((folder / _STAMP).read_text())
        if stored["key"] != key:
            return False
        return all(_look(folder / name)[1:] == tuple(state) for name, state in stored["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def remember(folder: Path, key: str, names: Iterable[str]) -> None:
    """Stamp a finished project; every file of firmware/ counts too."""
    firmware = (path.relative_to(folder).as_posix() for path in (folder / "firmware").rglob("*") if path.is_file())
    files = {name: _look(folder / name)[1:] for name in sorted({*names, *firmware, "Makefile"})}
    write_if_changed(folder / _STAMP, json.dumps({"key": key, "files": files}, indent=1).encode())


def forget(folder: Path) -> None:
    """Before a project is touched: whatever happens now, it is not what the stamp says."""
    stamp = folder / _STAMP
    try:
        stamp.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot remove {stamp}: {error.strerror}; choose another folder with --out") from error


def _look(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
