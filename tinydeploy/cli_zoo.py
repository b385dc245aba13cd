"""The command line's part on networks of the zoo that are not trained yet: what they cost, and which one fits."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinydeploy.cli_files import FILE, SILICON, write_text
from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from tinydeploy.arithmetic import Scale
    from tinydeploy.boards import Board
    from tinydeploy.zoo import ModelSpec


class ArchitectureCommand(click.Command):
    """A command that takes the options of the zoo's architectures too, as `arch_NAME`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, the architectures' options, --help."""
        *own, help_option = super().get_params(ctx)
        return [*own, *_architecture_options(), help_option]


@functools.cache
def _architecture_options() -> tuple[click.Option, ...]:
    from tinydeploy import zoo

    named: dict[str, list[tuple[str, zoo.Option]]] = {}
    for arch in zoo.architectures().values():
        for option in arch.options:
            named.setdefault(option.name, []).append((arch.name, option))
    made = []
    for name, uses in named.items():
        owners = ", ".join(arch for arch, _ in uses)
        variable = f"arch_{name.replace('-', '_')}"
        made.append(click.Option([f"--{name}", variable], help=f"{owners}: {uses[0][1].help}."))
    return tuple(made)


def chosen_options(options: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Take the architecture's options that were given out of a command's."""
    given = {name: options.pop(name) for name in list(options) if name.startswith("arch_")}
    return tuple((name[len("arch_") :].replace("_", "-"), value) for name, value in given.items() if value is not None)


def read_spec(
    arch: str,
    alpha: float | None,
    input_size: str | None,
    channels: int | None,
    classes: int | None,
    options: tuple[tuple[str, str], ...],
) -> ModelSpec:
    """The network that the command line names; what it leaves out is as the architecture has it."""
    from tinydeploy import zoo

    size = zoo.read_size(input_size) if input_size else None
    return zoo.make_spec(arch, alpha=alpha, input_size=size, channels=channels, classes=classes, options=options)


def read_scale(constants: Path | None, place: Board) -> Scale | None:
    """What the constants of --silicon, for the board `place`, make of predicted cycles."""
    from tinydeploy.arithmetic import Scale
    from tinydeploy.emulation import read_constants

    if constants is None:
        return None
    silicon = read_constants(constants, place)
    return Scale(silicon.cost_factor, silicon.statement)


def print_arithmetic(
    spec: ModelSpec, board: str | None, json_file: Path | None, options: dict[str, Any], constants: Path | None = None
) -> None:
    """What `inspect --arch` shows; `options` are those of the compiler, `constants` scale the cost model. Both go with
    a board; without one it is the network's own arithmetic alone."""
    from tinydeploy import zoo
    from tinydeploy.arithmetic import estimate
    from tinydeploy.arithmetic_report import arithmetic_json, arithmetic_report, estimate_json, estimate_report
    from tinydeploy.boards import load_board
    from tinydeploy.layer_arithmetic import arithmetic_of
    from tinydeploy.tables import print_report

    if board is None:
        if constants is not None:
            raise UsageError("--silicon has a board's constants; give --board, too")
        found = arithmetic_of(spec, zoo.describe(spec))
        print_report(arithmetic_report(found))
        write_text(json_file, arithmetic_json(found))
        return
    place = load_board(board)
    cost = estimate(spec, place, scale=read_scale(constants, place), **options)
    print_report(estimate_report(cost))
    write_text(json_file, estimate_json(cost))


@click.command(short_help="The largest network that fits a board, before training.", cls=ArchitectureCommand)
@click.option("--board", required=True, help="A board by name (see `tinydeploy boards`) or a .toml file.")
@click.option("--max-ms", type=click.FloatRange(min=0, min_open=True), help="The longest inference in milliseconds.")
@click.option("--max-ram", help="The most RAM of all firmware, such as 64K; the board's when left out.")
@click.option("--max-flash", help="The most flash of all firmware, such as 512K; the board's when left out.")
@click.option("--arch", help="Networks of the zoo, with commas between; all that classify images when left out.")
@click.option("--alpha", help="Width multipliers to choose from; 1 down to 0.05 when left out.")
@click.option("--input-size", help="Input sizes to choose from; 224 down to 32 when left out.")
@click.option("--channels", type=int, help="1 for grey, 3 for RGB.")
@click.option("--classes", type=int, help="How many classes.")
@click.option("--json", "json_file", type=FILE, help="Write the networks as JSON too.")
@SILICON
def fit(
    board: str,
    max_ms: float | None,
    max_ram: str | None,
    max_flash: str | None,
    arch: str | None,
    alpha: str | None,
    input_size: str | None,
    channels: int | None,
    classes: int | None,
    json_file: Path | None,
    constants: Path | None,
    **options: Any,
) -> None:
    """Find the largest network of each architecture that keeps the limits on a board, before training."""
    from tinydeploy import zoo
    from tinydeploy.arithmetic import STEPS_OF_ALPHA
    from tinydeploy.boards import load_board
    from tinydeploy.sweep import fit as run
    from tinydeploy.sweep import for_images, read_limits, read_list, read_numbers
    from tinydeploy.sweep_report import fitting_json, fitting_report
    from tinydeploy.tables import print_report
    from tinydeploy.terminal import counter

    place = load_board(board)
    limits = read_limits(max_ms, max_ram, max_flash)
    with counter("architectures") as progress:
        fitting = run(
            read_list(arch, "--arch") if arch else for_images(),
            place,
            limits,
            alphas=read_numbers(alpha, "--alpha") if alpha else STEPS_OF_ALPHA,
            sizes=[zoo.read_size(size) for size in read_list(input_size, "--input-size")] if input_size else None,
            channels=channels,
            classes=classes,
            options=chosen_options(options),
            scale=read_scale(constants, place),
            progress=progress,
        )
    print_report(fitting_report(fitting, place))
    write_text(json_file, fitting_json(fitting))
