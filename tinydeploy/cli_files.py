"""Files, folders and ports on the command line."""

from __future__ import annotations

from pathlib import Path

import click

from tinydeploy.errors import UsageError


def _no_project(context: click.Context, _argument: click.Parameter, port: str | None) -> str | None:
    """`port`, which is no folder: after build it is a slip to name the project in its place."""
    if port is not None and Path(port).is_dir():
        takes_projects = any(option.name == "project" for option in context.command.params)
        way = f"--project {port} names a project" if takes_projects else "name a port, or none"
        raise UsageError(f"{port} is a folder, not a serial port; {way}")
    return port


FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
PORT = click.argument("port", required=False, callback=_no_project)
PROJECT = click.option("--project", type=FOLDER, help="Project folder; this folder or the last build when left out.")
SILICON = click.option(
    "--silicon", "constants", type=FILE, help="Cycles by these constants, such as tinydeploy calibrate writes."
)


def write_text(path: Path | None, text: str) -> None:
    """Write `text` where a path was given, atomically."""
    if path is not None:
        from tinydeploy.files import write_if_changed

        write_if_changed(path, text.encode())
