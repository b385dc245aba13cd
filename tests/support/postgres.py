"""A PostgreSQL server for a test: Debian's, or the one that the pgserver package brings."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def postgres() -> Iterator[str | None]:
    """The URL of an empty database, reached through a socket in a folder of its own; None where there is no server."""
    # The server refuses to run as root, and another user needs a folder that it may enter.
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        programs = _programs(folder)
        if programs is None:
            yield None
            return
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data, become = folder / "data", None if user is None else user.pw_uid

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", str(data), *arguments]
            with (folder / "log").open("ab") as log:
                subprocess.run(command, check=True, stdout=log, stderr=log, user=become, cwd=folder, timeout=300)

        run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        run("pg_ctl", "start", "-w", "-t", "240", "-o", f"-c listen_addresses= -c unix_socket_directories={folder} -F")
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "-m", "immediate")


def _programs(folder: Path) -> Path | None:
    """Where initdb and pg_ctl are; pgserver's are copied to where every user may run them."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found or debian:
        return Path(found).resolve().parent if found else debian[-1].parent
    package = importlib.util.find_spec("pgserver")
    if package is None or package.origin is None:
        return None
    installed = Path(package.origin).parent
    shutil.copytree(installed / "pginstall", folder / "pgserver" / "pginstall")
    shutil.copytree(installed.with_name("pgserver.libs"), folder / "pgserver.libs")  # found beside the package
    return folder / "pgserver" / "pginstall" / "bin"
