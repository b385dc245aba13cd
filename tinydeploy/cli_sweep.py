"""The command line's `sweep`: many networks of the zoo on one board, before training or with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tinydeploy.cli_files import FILE, SILICON, write_text
from tinydeploy.cli_train import read_recipe, recipe_options
from tinydeploy.cli_zoo import ArchitectureCommand, chosen_options, read_scale
from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from tinydeploy.arithmetic import Estimate
    from tinydeploy.job import Job
    from tinydeploy.sweep import Refused
    from tinydeploy.sweep_train import Score

# Trainings are kept beside the builds, which find them there.
CACHE = Path("build") / ".trained"


@click.command(short_help="Cost over widths and input sizes, before training or with it.", cls=ArchitectureCommand)
@click.option("--board", required=True, help="A board by name (see `tinydeploy boards`) or a .toml file.")
@click.option("--arch", required=True, help="Networks of the zoo, with commas between.")
@click.option("--alpha", default="0.1,0.25,0.5", show_default=True, help="Width multipliers.")
@click.option("--input-size", help="Sizes in pixels, such as 32,48,96; the architecture's own when left out.")
@click.option("--channels", type=int, help="1 for grey, 3 for RGB.")
@click.option("--classes", type=int, help="How many classes; with --train as the data has them.")
@click.option("--svg", "svg_file", type=FILE, help="Write a plot: costs over alpha, or accuracy over costs.")
@click.option("--json", "json_file", type=FILE, help="Write the figures as JSON too.")
@click.option("--train", is_flag=True, help="Train each too: accuracy, and the Pareto front. May be interrupted.")
@SILICON
@recipe_options
def sweep(
    board: str,
    arch: str,
    alpha: str,
    input_size: str | None,
    channels: int | None,
    classes: int | None,
    svg_file: Path | None,
    json_file: Path | None,
    train: bool,
    constants: Path | None,
    **options: Any,
) -> None:
    """Show what networks of the zoo will cost on a board, for each alpha and input size, and what they reach."""
    from tinydeploy import zoo
    from tinydeploy.boards import load_board
    from tinydeploy.sweep import grid, read_list, read_numbers
    from tinydeploy.sweep import sweep as run
    from tinydeploy.sweep_plot import sweep_svg
    from tinydeploy.sweep_report import sweep_json, sweep_report
    from tinydeploy.tables import print_report
    from tinydeploy.terminal import counter

    chosen = chosen_options(options)
    if not train:
        _refuse_unused(options)
    place, sizes = load_board(board), read_list(input_size, "--input-size") if input_size else []
    archs = read_list(arch, "--arch")
    job = _job(archs, channels, classes, options) if train else None
    if job is not None:
        data = job.trained_spec()
        channels, classes = data.channels, data.classes
        sizes = sizes or ([data.size_option] if job.sized_by_data else [])
    specs = grid(
        archs,
        read_numbers(alpha, "--alpha"),
        [zoo.read_size(size) for size in sizes] or [None],
        channels=channels,
        classes=classes,
        options=chosen,
    )
    scale = read_scale(constants, place)
    with counter("networks") as progress:
        points = run(specs, place, progress, scale=scale)
    scores = _train(points, job) if job is not None else ()
    print_report(sweep_report(points, place, scores))
    if svg_file is not None:
        write_text(svg_file, sweep_svg(points, place, scores))
    write_text(json_file, sweep_json(points, scores))


def _job(archs: list[str], channels: int | None, classes: int | None, options: dict[str, Any]) -> Job:
    """How to train; of all networks alike, so that one measure serves."""
    import dataclasses

    from tinydeploy import zoo

    if classes is not None:
        raise UsageError("--classes goes without --train: the data says how many there are")
    if len({zoo.architecture(name).classifies for name in archs}) > 1:
        raise UsageError(f"{', '.join(archs)}: an autoencoder is measured by its AUC; sweep it apart from the others")
    return dataclasses.replace(read_recipe(options), arch=archs[0], channels=channels)


def _train(points: tuple[Estimate | Refused, ...], job: Job) -> tuple[Score | None, ...]:
    from tinydeploy.sweep_train import score
    from tinydeploy.terminal import TrainingBar

    with TrainingBar() as bar:
        return score(points, job, CACHE, progress=bar.progress, stage=bar.stage)


def _refuse_unused(options: dict[str, Any]) -> None:
    """UsageError for an option of training that was given though nothing is trained."""
    context = click.get_current_context()
    for name in options:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')} goes with --train, and without it nothing is trained")
