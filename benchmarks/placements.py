"""What choosing by predicted cycles gains: the reference models on boards whose flash is known, before and after.

    python -m benchmarks.placements [FOLDER] [--board B]... [--json FILE]

FOLDER holds .tflite files; ../shared/models beside the checkout when left out. Before: compiled with all constants in
flash, as for a board that nothing is known of, and run on a bare core with the flash and caches of the board's chip.
After: the whole firmware on the virtual board, built by default and for speed. Every output equals the reference's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Group
from rich.text import Text

from benchmarks.measuring import ROOT, count_exactly, in_work_folder, measure, models_in, write_rows
from benchmarks.published import PUBLISHED
from tinydeploy.boards import Board, load_board
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.constants_place import choices, ram_constants_bytes, waiting_cycles
from tinydeploy.errors import InternalError, TinydeployError, UsageError
from tinydeploy.flash_reads import flash_reads_of
from tinydeploy.kernel_forms import compile_for
from tinydeploy.optimize import Optimize
from tinydeploy.tables import print_report, table
from tinydeploy.tflite import read_model

BOARDS = ("nucleo_l4r5zi", "stm32f746")


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one board, `built` "in flash", "by default" or "for speed".

    `cycles` are those of the virtual board with the chip's flash, `waiting` what of them getting constants is predicted
    to cost; `steps` counts the steps with constants by where these are. `start_up_us`: copying, once, predicted.
    """

    model: str
    board: str
    built: str
    cycles: int
    waiting: int
    arena_bytes: int
    copied_bytes: int
    start_up_us: float
    steps: dict[str, int]
    published_cycles: int | None


def rows_of(model: Path, board: Board) -> Iterator[Row]:
    """The three rows of a model."""
    graph = read_model(model.read_bytes(), model.stem)
    plain = compile_graph(graph, board.core)
    before = count_exactly(graph, plain, board.core, Path(f"in-flash-{board.name}-{model.stem}"), board)
    yield _row(model, board, "in flash", plain, before.cycles)
    wanted: tuple[tuple[str, Optimize], ...] = (("by default", "balanced"), ("for speed", "speed"))
    for built, optimize in wanted:
        measured = measure(model, board.name, "zig", {"optimize": optimize}).measurement
        if not measured.exact:
            raise InternalError(f"{model.stem} {built} on {board.name} is not exact; please report this")
        program = compile_for(graph, board, optimize=optimize)
        yield _row(model, board, built, program, measured.cycles)


def _row(model: Path, board: Board, built: str, program: Program, cycles: int) -> Row:
    reads = flash_reads_of(board.part)
    assert reads is not None, board.name
    published = PUBLISHED.get(board.name, {}).get(model.stem)
    copied = ram_constants_bytes(program.steps)
    return Row(
        model=model.stem,
        board=board.name,
        built=built,
        cycles=cycles,
        waiting=round(sum(waiting_cycles(step.implementation, board.part) for step in program.steps)),
        arena_bytes=program.plan.arena_bytes,
        copied_bytes=copied,
        start_up_us=round(reads.copy_cycles(copied) * 1e6 / board.clock.sysclk_hz, 1) if copied else 0.0,
        steps=dict(Counter(choice.residence for choice in choices(program))),
        published_cycles=published.cycles if published else None,
    )


def report(rows: Sequence[Row]) -> Group:
    """A table for each board; at most 100 columns."""
    parts: list[Text | object] = []
    for board in dict.fromkeys(row.board for row in rows):
        made = table(("model", "constants"), ("cycles", "", "arena B", "copies B", "start-up us", "published"))
        before: Row | None = None
        for row in (row for row in rows if row.board == board):
            first = before is None or before.model != row.model
            if first:
                if before is not None:
                    made.add_section()
                before = row
            assert before is not None
            made.add_row(
                row.model if first else "",
                row.built,
                f"{row.cycles:,}",
                "" if first else f"{100 * (row.cycles / before.cycles - 1):+.1f} %",
                f"{row.arena_bytes:,}",
                f"{row.copied_bytes:,}",
                f"{row.start_up_us:,.0f}" if row.copied_bytes else "",
                f"{row.published_cycles:,}" if first and row.published_cycles else "",
            )
        parts += [Text(board), made, Text("")]
    notes = [
        "in flash: as for a chip that nothing is known of.",
        "by default: copies in the arena where it is free, kernels in the form predicted to be fastest.",
        "for speed: copies in RAM, made at start-up, as far as there is room; inner loops unrolled further.",
        "cycles: of the virtual board with the chip's flash and caches (docs/SILICON.md); all outputs are exact.",
        "published: the fewest that anyone has published for the chip, in MLPerf Tiny v0.5 to v1.3.",
    ]
    return Group(*parts, Text("\n".join(notes)))  # type: ignore[arg-type]


@click.command()
@click.argument("folder", default=ROOT.parent / "shared/models", type=click.Path(path_type=Path))
@click.option("--board", "boards", multiple=True, help="Only this board; may be repeated.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures as JSON.")
def main(folder: Path, boards: tuple[str, ...], json_file: Path | None) -> None:
    """Measure the models of FOLDER with constants in flash, by default and for speed, and print what that gains."""
    try:
        models = models_in(folder)
        target = json_file.resolve() if json_file else None
        rows: list[Row] = []
        for board in map(load_board, boards or BOARDS):
            if flash_reads_of(board.part) is None:
                raise UsageError(f"nothing is known of the flash of {board.name}; take one of {', '.join(BOARDS)}")
            for model in models:
                click.echo(f"{model.stem} for {board.name}", err=True)
                with in_work_folder():
                    rows += rows_of(model, board)
        print_report(report(rows))
        write_rows(target, rows)
    except TinydeployError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
