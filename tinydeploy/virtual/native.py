"""The virtual board's inner loop in C: compiled once for this machine, by the compiler that pip installs, and kept.

The structures mirror ``native/counter.c``, which says what they mean.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tinydeploy.errors import ToolchainError

_SOURCE = Path(__file__).with_name("native") / "counter.c"
_FLAGS = ("-O2", "-shared", "-fPIC", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fno-sanitize=all")
Slow = ctypes.PYFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)
Unaligned = ctypes.PYFUNCTYPE(None)
MOST_BASES = 8


class Bases(ctypes.Structure):
    """Registers that must hold multiples of 4, by Unicorn's numbers; ``MOST_BASES`` at most."""

    _fields_ = (("count", ctypes.c_uint32), ("numbers", ctypes.c_int32 * MOST_BASES))


def bases(numbers: Sequence[int]) -> Bases:
    """Those registers."""
    return Bases(len(numbers), (ctypes.c_int32 * MOST_BASES)(*numbers))


class BaseWatch(ctypes.Structure):
    """An instruction whose base must be aligned, and what to call where it is not."""

    _fields_ = (("aligned", Bases), ("read_register", ctypes.c_void_p), ("unaligned", Unaligned))


class Edge(ctypes.Structure):
    """A pair of blocks: what the second costs after the first."""

    _fields_ = (
        ("key", ctypes.c_uint64),
        ("cycles_256", ctypes.c_uint64),
        ("runs", ctypes.c_uint64),
        ("next", ctypes.c_uint32),
        ("size_bytes", ctypes.c_uint32),
        ("instructions", ctypes.c_uint32),
        ("each_time", ctypes.c_uint32),
        ("aligned", ctypes.POINTER(Bases)),
    )


class CacheState(ctypes.Structure):
    """One cache."""

    _fields_ = (
        ("tags", ctypes.c_void_p),
        ("valid", ctypes.c_void_p),
        ("age", ctypes.c_void_p),
        ("sets", ctypes.c_uint32),
        ("ways", ctypes.c_uint32),
        ("line_shift", ctypes.c_uint32),
        ("sector_shift", ctypes.c_uint32),
        ("clock", ctypes.c_uint32),
        ("last_line", ctypes.c_uint32),
        ("hits", ctypes.c_uint64),
        ("misses", ctypes.c_uint64),
        ("sequential", ctypes.c_uint64),
        ("miss_256", ctypes.c_uint32),
        ("sequential_256", ctypes.c_uint32),
    )


class RegionState(ctypes.Structure):
    """An address range whose loads and stores are looked at."""

    _fields_ = (
        ("low", ctypes.c_uint32),
        ("high", ctypes.c_uint32),
        ("data", ctypes.POINTER(CacheState)),
        ("loads", ctypes.c_uint64),
        ("misses", ctypes.c_uint64),
        ("miss_256", ctypes.c_uint32),
        ("access_256", ctypes.c_uint32),
    )


class CounterState(ctypes.Structure):
    """Everything that the hooks share."""

    _fields_ = (
        ("edges", ctypes.POINTER(Edge)),
        ("mask", ctypes.c_uint64),
        ("instructions", ctypes.c_uint64),
        ("cycles_256", ctypes.c_uint64),
        ("deadline_256", ctypes.c_int64),
        ("node", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("slow", Slow),
        ("answer", Edge),
        ("stop", ctypes.c_void_p),
        ("fetch", ctypes.POINTER(CacheState)),
        ("fetch_low", ctypes.c_uint32),
        ("fetch_high", ctypes.c_uint32),
        ("regions", ctypes.POINTER(RegionState)),
        ("region_count", ctypes.c_uint64),
        ("read_register", ctypes.c_void_p),
        ("write_register", ctypes.c_void_p),
        ("xpsr", ctypes.c_int32),
        ("unused2", ctypes.c_uint32),
    )


@functools.cache
def library() -> ctypes.PyDLL:
    """The compiled hooks. Raises ToolchainError when they cannot be compiled."""
    source = _SOURCE.read_bytes()
    name = hashlib.sha256(source + sys.platform.encode() + os.uname().machine.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinydeploy"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        cache = Path(tempfile.mkdtemp(prefix="tinydeploy-"))
    path = cache / f"counter-{name}.so"
    if not path.is_file():
        _compile(path)
    loaded = ctypes.PyDLL(str(path))
    loaded.td_find.restype = ctypes.POINTER(Edge)
    loaded.td_find.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32]
    loaded.td_rehash.restype = None
    loaded.td_rehash.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64]
    return loaded


def _compile(path: Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        command = [sys.executable, "-m", "ziglang", "cc", *_FLAGS, str(_SOURCE), "-o", temporary]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolchainError(f"the virtual board's counter does not compile: {done.stderr.strip()[:200]}")
        Path(temporary).chmod(0o755)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
