"""The command ``export``: its arguments in, a folder that holds a library out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy.cli_files import FOLDER
from tinydeploy.ecosystems import ECOSYSTEMS
from tinydeploy.optimize import OPTIMIZE


@click.command(short_help="Make the model a library for Arduino, CMake, ESP-IDF, PlatformIO or Zephyr.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--as", "ecosystem", type=click.Choice(ECOSYSTEMS), required=True, help="What the library is for.")
@click.option("--out", type=FOLDER, help="The library's folder; build/export/<ecosystem>/<name> when left out.")
@click.option("--name", help="The library's name and the prefix of its functions; the model's when left out.")
@click.option(
    "--core",
    "cores",
    multiple=True,
    help="A core with sources of its own, beside the portable ones; may be given again. "
    "When left out the project's, or m4 and m0plus for a .tflite, and none for esp-idf; `portable` alone stands for "
    "none.",
)
@click.option("--version", default="1.0.0", show_default=True, help="The library's version.")
@click.option("--author", default=None, help="'Name <mail>', for ecosystems that ask for it.")
@click.option("--url", default="", help="Where the library is published, for ecosystems that ask for it.")
@click.option("--optimize", type=click.Choice(OPTIMIZE), default="balanced", show_default=True, help="As in build.")
@click.option("--stream-input", is_flag=True, help="As in build.")
def export(source: Path, out: Path | None, **options: Any) -> None:
    """Make the model of SOURCE, a .tflite or a project folder, a library in an ecosystem's own conventions."""
    from tinydeploy.export import ExportRequest, write_library
    from tinydeploy.export import export as run

    given = {key: value for key, value in options.items() if value is not None}
    library = run(ExportRequest(source, **given))
    folder = out or Path("build/export") / options["ecosystem"] / library.name
    write_library(library, folder)
    click.echo(f"wrote {folder}: {len(library.files)} files; {folder / 'README.md'} says how to use it")
