"""The command ``calibrate``: files of ``bench --save`` in, a chip's constants out, as tables and as a file."""

from __future__ import annotations

from pathlib import Path

import click

from tinydeploy.cli_files import FILE, write_text
from tinydeploy.errors import UsageError


@click.command(short_help="Fit the virtual board's cycles to measurements of a board.")
@click.argument("files", type=FILE, nargs=-1, metavar="SAVED...")
@click.option("--out", type=FILE, help="Write the constants as TOML, for --silicon; without it nothing is written.")
@click.option("--json", "json_file", type=FILE, help="Write constants and errors as JSON too.")
def calibrate(files: tuple[Path, ...], out: Path | None, json_file: Path | None) -> None:
    """Refit the constants of one chip's cycle model to what its boards measured.

    SAVED are files that `tinydeploy bench PORT --save FILE` has written: different models, one chip, one clock. No
    command uses the result unless it is told to: `bench`, `build`, `emulate`, `inspect`, `sweep`, `fit` and `search` by
    --silicon.
    """
    from tinydeploy.calibrate import calibrate as run
    from tinydeploy.calibrate_report import calibration_json, calibration_report, calibration_toml
    from tinydeploy.measured import read_stored
    from tinydeploy.tables import print_report
    from tinydeploy.virtual.silicon_file import nearest_silicon

    if not files:
        raise UsageError("name the measurements: files that tinydeploy bench PORT --save FILE has written")
    if out is not None and out.exists():
        raise UsageError(f"{out} is there already; choose another --out or remove it")
    stored = [read_stored(path) for path in files]
    start = nearest_silicon(stored[0].counted.part, stored[0].core)
    if start is None:
        raise UsageError(f"{files[0]} is of an {stored[0].core}, of which no chip has constants to start from")
    calibration = run(stored, start, out.stem if out else "unsaved")
    print_report(calibration_report(calibration))
    write_text(json_file, calibration_json(calibration))
    if out is None:
        click.echo("\nnothing is changed; --out FILE writes the constants, for the --silicon of other commands")
        return
    write_text(out, calibration_toml(calibration))
    click.echo(f"\nwrote {out}; use it where you say so: tinydeploy bench --silicon {out}, or build, inspect, emulate")
