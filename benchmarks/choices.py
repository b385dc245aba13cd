"""What each choice of --optimize costs: code, constants, RAM, instructions and cycles of the reference models.

    python -m benchmarks.choices [FOLDER] [--board B] [--toolchain zig|gcc] [--json FILE]

FOLDER holds .tflite files; ../shared/models beside the checkout when left out. The last row of a model, where it has
one, adds --stream-input to --optimize ram.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Group
from rich.text import Text

from benchmarks.goals import GOAL_BOARDS
from benchmarks.measuring import ROOT, Row, in_work_folder, measure, models_in, write_rows
from tinydeploy.errors import TinydeployError, UsageError
from tinydeploy.optimize import OPTIMIZE
from tinydeploy.tables import print_report, table
from tinydeploy.toolchain import Toolchain

STREAMED: Mapping[str, Any] = {"optimize": "ram", "stream_input": True}


def rows(models: Sequence[Path], board: str, toolchain: Toolchain) -> Iterator[Row]:
    """Every model with every choice; without the streamed input where its first operator cannot take one."""
    for model in models:
        for choice in OPTIMIZE:
            click.echo(f"{model.stem}: {choice}", err=True)
            yield measure(model, board, toolchain, {"optimize": choice})
        click.echo(f"{model.stem}: ram, streamed", err=True)
        with contextlib.suppress(UsageError):
            yield measure(model, board, toolchain, STREAMED)


def report(made: Sequence[Row]) -> Group:
    """A row per choice, with its cycles as a share of the default's; at most 100 columns."""
    shown = table(("model", "built for"), ("code B", "const B", "RAM B", "insn", "cycles", ""))
    shown.padding = (0, 1, 0, 0)
    before = ""
    balanced = {row.measurement.model: row for row in made if row.options == {"optimize": "balanced"}}
    for row in made:
        m = row.measurement
        if before and m.model != before:
            shown.add_section()
        share = row.zero_wait_cycles / balanced[m.model].zero_wait_cycles
        name = f"{row.options['optimize']}{', streamed' if row.options.get('stream_input') else ''}"
        figures = (row.code_bytes, row.constants_bytes, m.ram_bytes, m.instructions or 0, row.zero_wait_cycles)
        exact = "" if m.exact else " NOT EXACT"
        shown.add_row(
            m.model if m.model != before else "",
            name + exact,
            *(f"{value:,}" for value in figures),
            f"{share:.3f}",
        )
        before = m.model
    notes = [
        f"On the {made[0].measurement.board}, built with {made[0].toolchain}. code, const: flash of the model.",
        "RAM: arena, state and stack. insn: counted exactly; cycles: an estimate without wait states,",
        "in the last column as a share of balanced's.",
    ]
    return Group(shown, "", Text("\n".join(notes)))


@click.command()
@click.argument("folder", default=ROOT.parent / "shared/models", type=click.Path(path_type=Path))
@click.option("--board", default=GOAL_BOARDS["m4"], show_default=True, help="The board to build for.")
@click.option("--toolchain", type=click.Choice(["zig", "gcc"]), default="zig", show_default=True, help="The compiler.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all measurements as JSON.")
def main(folder: Path, board: str, toolchain: Toolchain, json_file: Path | None) -> None:
    """Build the models of FOLDER with every choice of --optimize and print what each costs."""
    try:
        models = models_in(folder)
        target = json_file.resolve() if json_file else None
        with in_work_folder():
            made = list(rows(models, board, toolchain))
        print_report(report(made))
        write_rows(target, made)
    except TinydeployError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
