"""The command line: arguments in, text and JSON out. Nothing is computed here, and only here are errors caught."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tinydeploy import __version__
from tinydeploy.cli_calibrate import calibrate
from tinydeploy.cli_device import bench, doctor, monitor, run, say
from tinydeploy.cli_diff import diff
from tinydeploy.cli_emulate import emulate
from tinydeploy.cli_export import export
from tinydeploy.cli_files import FILE as _FILE
from tinydeploy.cli_files import FOLDER as _FOLDER
from tinydeploy.cli_files import PORT, PROJECT, SILICON
from tinydeploy.cli_files import write_text as _write_text
from tinydeploy.cli_mlperf import mlperf
from tinydeploy.cli_search import search
from tinydeploy.cli_sweep import sweep
from tinydeploy.cli_train import read_training, training_options
from tinydeploy.cli_zoo import ArchitectureCommand, chosen_options, fit, print_arithmetic, read_spec
from tinydeploy.errors import TinydeployError, UsageError, did_you_mean
from tinydeploy.optimize import OPTIMIZE


class _Commands(click.Group):
    """A group that suggests the nearest command for a mistyped one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            hint = did_you_mean(args[0], self.list_commands(ctx)) or f"; there are {', '.join(self.list_commands(ctx))}"
            raise click.UsageError(f"no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tinydeploy")
def cli() -> None:
    """int8 neural networks, compiled ahead of time to proved, measured Cortex-M firmware.

    \b
    tinydeploy build --board stm32f746 --alpha 0.25     train, quantize, prove, compile, link
    tinydeploy build --board B --model ready.tflite     the same for a model you have
    tinydeploy bench                                    measure it on the virtual board
    tinydeploy bench /dev/ttyACM0                       measure it on a board (after make flash)
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Exit code 0, 2 for the user's mistake, 1 for ours, 130 after Ctrl-C."""
    try:
        code = cli.main(arguments, prog_name="tinydeploy", standalone_mode=False)
    except click.exceptions.Exit as leave:
        code = leave.exit_code
    except click.ClickException as error:
        click.echo(f"error: {_in_our_words(error)}", err=True)
        code = 2
    except TinydeployError as error:
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        code = 130
    except BrokenPipeError:
        # The reader of our output has seen enough; Python would complain once more when it flushes at exit.
        sys.stdout = None
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _in_our_words(error: click.ClickException) -> str:
    """A mistake on the command line as one sentence: what is wrong, and where to look."""
    context = getattr(error, "ctx", None)
    if isinstance(error, click.NoSuchOption):
        known = [name for p in context.command.get_params(context) for name in p.opts] if context else []
        message = f"there is no option {error.option_name}{did_you_mean(error.option_name, [*known, '--help'])}"
    else:
        message = error.format_message().rstrip(".")
        message = message[:1].lower() + message[1:]
    return message if context is None or message.endswith("?") else f"{message}; see {context.command_path} --help"


@cli.command(short_help="Train or take a model, prove, compile and build it.", cls=ArchitectureCommand)
@click.option("--board", required=True, help="A board by name (see `tinydeploy boards`) or a .toml file.")
@click.option("--model", type=_FILE, help="A ready int8 .tflite; nothing is trained.")
@click.option("--samples", type=_FILE, help="With --model: an .npz of `inputs` and perhaps `labels` to bench with.")
@training_options
@click.option("--out", type=_FOLDER, help="Project folder; build/<board>-<model> when left out.")
@click.option("--toolchain", type=click.Choice(["zig", "gcc"]), help="Compiler; zig when left out.")
@click.option(
    "--runtime",
    type=click.Choice(["tinydeploy", "tflm"]),
    default="tinydeploy",
    show_default=True,
    help="What runs the model; tflm is the interpreter of your own TensorFlow Lite Micro in TFLM_DIR, with gcc.",
)
@click.option("--keep-constant-channels", is_flag=True, help="Compute channels that are provably constant too.")
@click.option(
    "--optimize",
    type=click.Choice(OPTIMIZE),
    default="balanced",
    show_default=True,
    help="What to spend on: ram runs layers by stripes of rows.",
)
@click.option("--stream-input", is_flag=True, help="Take the input row by row (model_push_rows); it is never whole.")
@click.option(
    "--silicon",
    type=_FILE,
    help="Constants such as tinydeploy calibrate writes, for whatever runs this project's image.",
)
@click.option("--json", "json_file", type=_FILE, help="Write the result as JSON too.")
def build(json_file: Path | None, **options: Any) -> None:
    """Train or take a model, prove it, compile it, and build firmware for a board."""
    from tinydeploy.build import Request
    from tinydeploy.build import build as run
    from tinydeploy.build_report import build_json, build_report
    from tinydeploy.tables import print_report
    from tinydeploy.terminal import TrainingBar

    with TrainingBar() as bar:
        result = run(Request(**read_training(options)), progress=bar.progress, stage=bar.stage)
    print_report(build_report(result))
    _write_text(json_file, build_json(result))


@cli.command(short_help="Compare every tensor on the device with TFLite Micro's.")
@PORT
@PROJECT
@click.option("--model", type=_FILE, help="Build this .tflite first (with --board), then verify it.")
@click.option("--board", help="The board to build --model for.")
@click.option("--toolchain", type=click.Choice(["zig", "gcc"]), default="zig", show_default=True)
@click.option("--inputs", "count", default=2, show_default=True, help="How many test inputs to compare.")
@click.option("--json", "json_file", type=_FILE, help="Write the result as JSON too.")
def verify(
    port: str | None,
    project: Path | None,
    model: Path | None,
    board: str | None,
    toolchain: Any,
    count: int,
    json_file: Path | None,
) -> None:
    """Compare every tensor in the device's memory with TFLite Micro's, bit for bit."""
    from tinydeploy.connection import connected
    from tinydeploy.project import find_project, load_project
    from tinydeploy.report import verification_json, verification_report
    from tinydeploy.tables import print_report
    from tinydeploy.terminal import TrainingBar, counter
    from tinydeploy.verify import verify as run

    if count < 1:
        raise UsageError(f"--inputs {count} is out of range; compare at least 1")
    if (model is None) != (board is None):
        raise UsageError("--model and --board go together: verify builds that model for that board")
    if model is not None and board is not None:
        from tinydeploy.build import Request
        from tinydeploy.build import build as run_build

        with TrainingBar() as bar:
            built = run_build(Request(board, model=model, toolchain=toolchain), stage=bar.stage)
        found = load_project(built.folder)
    else:
        found = find_project(project)
    with connected(found, port, on_text=say) as session, counter("inputs") as progress:
        verification = run(found, session, found.samples().inputs[:count], progress=progress)
    print_report(verification_report(verification))
    _write_text(json_file, verification_json(verification))
    if not verification.passed:
        sys.exit(1)


@cli.command(short_help="List the boards that tinydeploy knows.")
@click.option("--json", "json_file", type=_FILE, help="Write the list as JSON too.")
def boards(json_file: Path | None) -> None:
    """List the boards that tinydeploy knows."""
    from tinydeploy.boards import list_boards
    from tinydeploy.inspection import boards_json, boards_report
    from tinydeploy.tables import print_report

    known = list_boards()
    print_report(boards_report(known))
    _write_text(json_file, boards_json(known))


@cli.group(short_help="Describe a board that tinydeploy does not know.")
def board() -> None:
    """Describe a board that tinydeploy does not know."""


@board.command(name="new", short_help="Write a first board description for a chip.")
@click.option("--part", required=True, help="The part number, such as STM32F722ZE.")
@click.option("--uart", help="The UART of the virtual COM port, such as USART3; a usual one when left out.")
@click.option("--out", type=_FILE, help="The file; the part's name with .toml, in this folder, when left out.")
def board_new(part: str, uart: str | None, out: Path | None) -> None:
    """Write a first board description from modm-devices, for a person to check against the manuals."""
    from tinydeploy.board_new import new_board
    from tinydeploy.files import write_if_changed

    path = out or Path(f"{part.lower()}.toml")
    if path.exists():
        raise UsageError(f"{path} is there already; choose another --out or remove it")
    write_if_changed(path, new_board(part, uart).encode())
    click.echo(f"wrote {path}; check every fact in it, then: tinydeploy build --board {path} --model model.tflite")


@cli.command(short_help="Show a model's layers, sizes and what it fits.", cls=ArchitectureCommand)
@click.argument("model", type=_FILE, required=False)
@click.option("--board", help="Compile for this board's core, and say what fits this board.")
@click.option("--optimize", type=click.Choice(OPTIMIZE), default="balanced", show_default=True, help="As in build.")
@click.option("--stream-input", is_flag=True, help="As in build.")
@click.option("--svg", "svg_file", type=_FILE, help="Write the drawing of the arena as an SVG image too.")
@click.option("--json", "json_file", type=_FILE, help="Write the facts as JSON too.")
@click.option("--arch", help="Instead of MODEL: a network of the zoo, not trained.")
@click.option("--alpha", type=float, help="With --arch: width multiplier, above 0 and up to 1.")
@click.option("--input-size", help="With --arch: pixels, such as 48, or height by width, such as 49x10.")
@click.option("--channels", type=int, help="With --arch: 1 for grey, 3 for RGB.")
@click.option("--classes", type=int, help="With --arch: how many classes.")
@SILICON
def inspect(
    model: Path | None,
    board: str | None,
    svg_file: Path | None,
    json_file: Path | None,
    arch: str | None,
    alpha: float | None,
    input_size: str | None,
    channels: int | None,
    classes: int | None,
    constants: Path | None,
    **options: Any,
) -> None:
    """Show a .tflite's layers, their shapes, MACs, weights and memory, and draw its arena over time.

    With --arch, show the arithmetic of a network of the zoo before it is trained, and with --board what it will cost
    there. TensorFlow is not needed.
    """
    chosen = chosen_options(options)
    if (model is None) == (arch is None):
        raise UsageError("give either a .tflite file or --arch with a network of the zoo")
    if arch is not None:
        if svg_file is not None:
            raise UsageError("--arch draws no arena: leave --svg away")
        spec = read_spec(arch, alpha, input_size, channels, classes, chosen)
        print_arithmetic(spec, board, json_file, options, constants)
        return
    if constants is not None:
        raise UsageError(
            "--silicon scales the latency that --arch predicts; a .tflite is run by tinydeploy bench --silicon"
        )
    if chosen or any(value is not None for value in (alpha, input_size, channels, classes)):
        raise UsageError("a .tflite file has its own sizes; --alpha, --input-size and their like go with --arch")
    _inspect_file(model, board, svg_file, json_file, options)


def _inspect_file(
    model: Path | None, board: str | None, svg_file: Path | None, json_file: Path | None, options: dict[str, Any]
) -> None:
    from tinydeploy.arena_drawing import arena_svg
    from tinydeploy.boards import load_board
    from tinydeploy.inspection import inspect_model, inspection_json, inspection_report
    from tinydeploy.tables import print_report
    from tinydeploy.tflite import read_model

    assert model is not None
    try:
        data = model.read_bytes()
    except OSError as error:
        raise UsageError(f"{model} cannot be read ({error.strerror}); give a .tflite file") from error
    found = inspect_model(read_model(data, model.stem), load_board(board) if board else None, **options)
    print_report(inspection_report(found))
    _write_text(svg_file, arena_svg(found.arena, found.model))
    _write_text(json_file, inspection_json(found))


cli.add_command(bench)
cli.add_command(calibrate)
cli.add_command(doctor)
cli.add_command(monitor)
cli.add_command(run)
cli.add_command(sweep)
cli.add_command(search)
cli.add_command(fit)
cli.add_command(mlperf)
cli.add_command(emulate)
cli.add_command(export)
cli.add_command(diff)
