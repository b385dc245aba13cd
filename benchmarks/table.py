"""Every figure of the README: the reference models for both boards with both toolchains, on the virtual board.

    python -m benchmarks.table [FOLDER] [--board B]... [--toolchain zig|gcc]... [--goals-only] [--json FILE]

FOLDER holds .tflite files; ../shared/models beside the checkout when left out. Projects go to build/bench and are built
anew only where something changed. Instructions are exact; cycles are estimates of the virtual board, never measured.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmarks.goals import FIGURES, GOAL_BOARDS, GOALS, TFLM, TFLM_SOURCE, Figure, Goal, Line, lines
from benchmarks.measuring import ROOT, Row, in_work_folder, measure, measure_core, models_in
from tinydeploy.errors import TinydeployError
from tinydeploy.files import write_if_changed
from tinydeploy.tables import print_report, table
from tinydeploy.toolchain import Toolchain

GOAL_TOOLCHAIN: Toolchain = "zig"
# A Cortex-M4 and a Cortex-M7 whose flash is known: models are compiled for it (docs/CHOICES.md).
BOARDS = ("nucleo_l4r5zi", "stm32f746")
_SHORT: Mapping[Figure, str] = {
    "instructions": "insn",
    "cycles": "cycles",
    "ram_bytes": "RAM B",
    "flash_bytes": "flash B",
}


def goal_figures(goal: Goal, rows: Iterable[Row]) -> dict[Figure, int] | None:
    """What `rows` say of a goal; None where it was not measured."""
    for row in rows:
        m = row.measurement
        measured = (m.model, m.board, row.toolchain, row.options)
        if measured == (goal.model, GOAL_BOARDS.get(goal.core), GOAL_TOOLCHAIN, goal.options):
            values: dict[Figure, int | None] = {figure: getattr(m, figure) for figure in FIGURES}
            values["cycles"] = row.zero_wait_cycles
            return {figure: value for figure, value in values.items() if value is not None}
    return None


def rows_json(rows: Sequence[Row], goals: Sequence[Line]) -> str:
    """All measurements, TFLM's figures, and how far each goal is."""
    stored: dict[str, Any] = {
        "tflm": {"source": TFLM_SOURCE, "models": TFLM},
        "goals": [{**dataclasses.asdict(line), "met": line.met, "over": round(line.over, 4)} for line in goals],
        "rows": [
            {
                "toolchain": row.toolchain,
                "options": dict(row.options),
                "code_bytes": row.code_bytes,
                "constants_bytes": row.constants_bytes,
                "zero_wait_cycles": row.zero_wait_cycles,
                **dataclasses.asdict(row.measurement),
            }
            for row in rows
        ],
    }
    return json.dumps(stored, indent=1) + "\n"


def goals_report(goals: Sequence[Line]) -> Group:
    """The table of goals: a line per figure, the name of its model once; at most 100 columns."""
    made = table(("model", "figure"), ("TFLM", "target", "here", "of TFLM", "", "silicon"))
    made.padding = (0, 1, 0, 0)
    for name in dict.fromkeys(line.goal for line in goals):
        of_goal = [line for line in goals if line.goal == name]
        if len(of_goal) > 1 and made.row_count:
            made.add_section()
        for line in of_goal:
            made.add_row(
                name if line is of_goal[0] else "",
                _SHORT[line.figure],
                *(_number(value) for value in (line.tflm, line.target, line.measured)),
                f"{line.measured / line.tflm:.2f}" if line.tflm else "-",
                _verdict(line),
                _number(line.silicon.cycles) if line.silicon else "",
                end_section=len(of_goal) > 1 and line is of_goal[-1],
            )
    sources: dict[str, list[str]] = {}
    for line in goals:
        if line.silicon:
            sources.setdefault(line.silicon.source, []).append(line.goal)
    met = sum(line.met for line in goals)
    notes = [
        f"{met} of {len(goals)} targets are met. On the M4, with zig and default options, where nothing else is said.",
        "Compiled as for any M4: for chips whose flash is known, what their wait states cost counts too.",
        "insn: instructions of one inference, counted exactly; cycles: an estimate by the M4's rules without",
        "wait states. TFLM: TensorFlow Lite Micro with CMSIS-NN at its best, model included.",
        "RAM: arena, state and stack. flash: the model's code and constants.",
        "silicon: the fewest cycles published for an M4, flash wait states and all:",
        *(f"  {', '.join(names)}: {source}" for source, names in sources.items()),
    ]
    return Group(made, "", Text("\n".join(notes)))


def _verdict(line: Line) -> str:
    distance = 100 * abs(line.over)
    share = f"{distance:.1f} %" if distance >= 0.1 or line.measured == line.target else "<0.1 %"
    return f"{'met' if line.met else 'missed'} by {share}"


def comparison_report(rows: Sequence[Row]) -> Group:
    """The table of time, the table of memory, and what the columns are."""
    texts = ("model", "board", "toolchain")
    time = table(texts, ("instructions", "TFLM's", "ratio", "cycles", "ms"))
    memory = table(texts, ("flash B", "TFLM's", "RAM B", "TFLM's", "all flash B", "all RAM B"))
    for row in rows:
        _add_comparison(row, time, memory)
    estimates = sorted({f"  {row.measurement.board}: {row.measurement.cycle_model}" for row in rows})
    notes = [
        "Where nothing else is said every output equals TFLite Micro's, bit for bit. Instructions are counted exactly;",
        "cycles and ms are estimates, not measured on silicon:",
        *estimates,
        "TFLM's: TensorFlow Lite Micro with CMSIS-NN, gcc -O2, model included; instructions on the same core, flash",
        "and RAM of its smallest fast M4 build. flash, RAM: the model's code and constants, arena, state and stack;",
        "all: the whole firmware, with clock, UART, link and 8 KiB reserved for the stack.",
    ]
    return Group(time, "", memory, "", Text("\n".join(notes)))


def _add_comparison(row: Row, time: Table, memory: Table) -> None:
    m = row.measurement
    tflm = TFLM.get(m.model, {})
    base, sizes = tflm.get(m.core, {}).get("instructions"), tflm.get("m4", {})
    name = (m.model, m.board, row.toolchain if m.exact else f"{row.toolchain}: NOT EXACT")
    ratio = f"{m.instructions / base:.2f}" if base and m.instructions else "-"
    time.add_row(*name, f"{m.instructions:,}", _number(base), ratio, f"{m.cycles:,}", f"{m.latency_us / 1000:.2f}")
    flash = (f"{m.flash_bytes:,}", _number(sizes.get("flash_bytes")))
    ram = (f"{m.ram_bytes:,}", _number(sizes.get("ram_bytes")))
    memory.add_row(*name, *flash, *ram, f"{m.firmware_flash_bytes:,}", f"{m.firmware_ram_bytes:,}")


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _plan(
    models: Sequence[Path], boards: Sequence[str], toolchains: Sequence[Toolchain], goals_only: bool
) -> Iterable[tuple[Path, str, Toolchain, Mapping[str, Any]]]:
    """What is built: model, board, toolchain, options; for the goals, unless some of the boards alone are wanted."""
    with_goals = GOAL_TOOLCHAIN in toolchains and boards == BOARDS
    for model in models:
        if not goals_only:
            yield from ((model, board, toolchain, {}) for board in boards for toolchain in toolchains)
        for core, board in GOAL_BOARDS.items() if with_goals else ():
            options: list[Mapping[str, Any]] = []
            for goal in GOALS:
                if (goal.model, goal.core) == (model.stem, core) and goal.options not in options:
                    options.append(goal.options)
            yield from ((model, board, GOAL_TOOLCHAIN, chosen) for chosen in options)


def measure_all(
    models: Sequence[Path], boards: Sequence[str], toolchains: Sequence[Toolchain], goals_only: bool
) -> tuple[list[Row], list[Line]]:
    """All rows, and all goals that they and the cores without a board answer."""
    rows = []
    for model, board, toolchain, options in _plan(models, boards, toolchains, goals_only):
        chosen = "".join(f", {key}={value}" for key, value in options.items())
        click.echo(f"{model.stem} for {board} with {toolchain}{chosen}", err=True)
        rows.append(measure(model, board, toolchain, options))
    found = {goal.name: figures for goal in GOALS if (figures := goal_figures(goal, rows)) is not None}
    by_name = {model.stem: model for model in models}
    for goal in GOALS:
        if goal.core not in GOAL_BOARDS and goal.model in by_name and GOAL_TOOLCHAIN in toolchains:
            click.echo(f"{goal.name}", err=True)
            counted = measure_core(by_name[goal.model], goal.core, goal.options)
            found[goal.name] = {"instructions": counted.instructions, "cycles": counted.cycles}
    return rows, lines(found)


@click.command()
@click.argument("folder", default=ROOT.parent / "shared/models", type=click.Path(path_type=Path))
@click.option("--board", "boards", multiple=True, help="Only this board; may be repeated.")
@click.option("--toolchain", "toolchains", multiple=True, type=click.Choice(["zig", "gcc"]), help="Only this one.")
@click.option("--goals-only", is_flag=True, help="Only the table of targets.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all measurements as JSON.")
def main(
    folder: Path,
    boards: tuple[str, ...],
    toolchains: tuple[Toolchain, ...],
    goals_only: bool,
    json_file: Path | None,
) -> None:
    """Build the models of FOLDER for every board with every toolchain and print the tables."""
    try:
        models = models_in(folder)
        if not toolchains:
            both = shutil.which("arm-none-eabi-gcc") and not goals_only
            toolchains = ("zig", "gcc") if both else ("zig",)
        target = json_file.resolve() if json_file else None
        with in_work_folder():
            rows, goals = measure_all(models, boards or BOARDS, toolchains, goals_only)
        reports = [goals_report(goals)] if goals else []
        if not goals_only:
            wanted = boards or BOARDS
            reports += [comparison_report([r for r in rows if r.measurement.board in wanted and not r.options])]
        print_report(Group(*(part for report in reports for part in (report, ""))))
        if target:
            write_if_changed(target, rows_json(rows, goals).encode())
    except TinydeployError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
