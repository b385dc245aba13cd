"""The command line's `search`: networks and training settings that a board can afford, found with Optuna."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy.cli_files import FILE, SILICON, write_text
from tinydeploy.cli_sweep import CACHE
from tinydeploy.cli_train import read_recipe, recipe_options
from tinydeploy.cli_zoo import ArchitectureCommand, chosen_options, read_scale
from tinydeploy.errors import UsageError

# A local file beside the builds.
_STORAGE = "sqlite:///build/search.db"


@click.command(short_help="Find networks and training settings for a board.", cls=ArchitectureCommand)
@click.option("--board", required=True, help="A board by name (see `tinydeploy boards`) or a .toml file.")
@click.option("--objectives", default="accuracy,latency,ram", show_default=True, help="Also flash.")
@click.option("--trials", default=30, show_default=True, help="Trained networks that the study shall have in all.")
@click.option("--storage", default=_STORAGE, show_default=True, help="Any database URL that Optuna takes.")
@click.option("--study", help="Its name in the storage; board and data when left out. Who names the same joins.")
@click.option("--arch", help="Networks of the zoo, with commas between; all that classify images when left out.")
@click.option("--alpha", help="Width multipliers to choose from; 1 down to 0.05 when left out.")
@click.option("--input-size", help="Input sizes to choose from; 32,48,64,96 when left out.")
@click.option("--channels", type=int, help="1 for grey, 3 for RGB; the data's own when left out.")
@click.option("--max-ms", type=click.FloatRange(min=0, min_open=True), help="The longest inference in milliseconds.")
@click.option("--max-ram", help="The most RAM of all firmware, such as 64K; the board's when left out.")
@click.option("--max-flash", help="The most flash of all firmware, such as 512K; the board's when left out.")
@click.option("--json", "json_file", type=FILE, help="Write all trained networks as JSON too.")
@SILICON
@recipe_options
def search(
    board: str,
    objectives: str,
    trials: int,
    storage: str,
    study: str | None,
    arch: str | None,
    alpha: str | None,
    input_size: str | None,
    channels: int | None,
    max_ms: float | None,
    max_ram: str | None,
    max_flash: str | None,
    json_file: Path | None,
    constants: Path | None,
    **options: Any,
) -> None:
    """Search networks and training settings for the best trade of accuracy, latency and RAM on a board.

    Settings of training that are given are kept, the others are searched. Ctrl-C stops it, the same command goes on;
    run elsewhere with the same --storage and --study, it joins.
    """
    import dataclasses

    from tinydeploy import zoo
    from tinydeploy.arithmetic import STEPS_OF_ALPHA
    from tinydeploy.boards import load_board
    from tinydeploy.search import read_objectives
    from tinydeploy.search import search as run
    from tinydeploy.search_report import build_commands, search_json, search_report
    from tinydeploy.search_space import Space
    from tinydeploy.sweep import for_images, read_limits, read_list, read_numbers
    from tinydeploy.tables import print_report
    from tinydeploy.terminal import TrainingBar

    if trials < 1:
        raise UsageError(f"--trials {trials} is out of range; train at least 1")
    place, chosen = load_board(board), chosen_options(options)
    archs = read_list(arch, "--arch") if arch else for_images()
    job = dataclasses.replace(read_recipe(options), arch=archs[0], channels=channels)
    sizes = read_list(input_size, "--input-size") if input_size else ["32", "48", "64", "96"]
    if input_size is None and job.sized_by_data:
        sizes = [job.trained_spec().size_option]
    space = Space(
        tuple(zoo.architecture(name).name for name in archs),
        tuple(read_numbers(alpha, "--alpha") if alpha else STEPS_OF_ALPHA),
        tuple(zoo.read_size(size) for size in sizes),
        chosen,
        job,
    )
    with TrainingBar() as bar:
        found = run(
            space,
            place,
            objectives=read_objectives(read_list(objectives, "--objectives")),
            limits=read_limits(max_ms, max_ram, max_flash),
            trials=trials,
            storage=storage,
            study=study or f"{place.name}-{job.data_name}",
            cache=CACHE,
            progress=bar.progress,
            stage=bar.stage,
            scale=read_scale(constants, place),
        )
    print_report(search_report(found))
    for command in build_commands(found, constants):
        click.echo(f"  {command}")
    write_text(json_file, search_json(found))
