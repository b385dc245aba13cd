"""Files on the command line."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
PROJECT = click.option("--project", type=FOLDER, help="Project folder; this folder or the last build when left out.")
SILICON = click.option(
    "--silicon", "constants", type=FILE, help="Cycles by these constants, such as tinydeploy calibrate writes."
)


def write_text(path: Path | None, text: str) -> None:
    """Write `text` where a path was given, atomically."""
    if path is not None:
        from tinydeploy.files import write_if_changed

        write_if_changed(path, text.encode())
