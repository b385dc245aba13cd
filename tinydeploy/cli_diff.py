"""The command ``diff``, and what ``bench --compare`` does: arguments in, tables, Markdown and JSON out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinydeploy.cli_files import FILE, write_text
from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from tinydeploy.project import Project

# A build that is over a limit is neither our mistake (1) nor the user's command (2).
OVER_LIMIT = 3
_SOURCE = click.Path(path_type=Path, exists=True)


@click.command(short_help="Show what changed between two builds; fail when it is too much.")
@click.argument("old", type=_SOURCE)
@click.argument("new", type=_SOURCE)
@click.option(
    "--fail-if",
    "limits",
    multiple=True,
    help="Exit with code 3 if this holds: 'ram>+2%' (of the old), 'flash>+512', 'accuracy<-0.5' (points), "
    "'latency>20ms' (the new itself). May be given again.",
)
@click.option("--samples", "count", default=3, show_default=True, help="How many samples to run of a project folder.")
@click.option("--markdown", is_flag=True, help="Print Markdown, for a pull request.")
@click.option("--json", "json_file", type=FILE, help="Write the comparison as JSON too.")
def diff(old: Path, new: Path, limits: tuple[str, ...], count: int, markdown: bool, json_file: Path | None) -> None:
    """Compare OLD with NEW: project folders, which are run on the virtual board, or JSON files of bench or build.

    The metrics are latency, cycles, instructions, ram, arena, stack, flash, accuracy and macs.
    """
    from tinydeploy.diff import compare, parse_limit
    from tinydeploy.diff_report import diff_json, diff_markdown, diff_report
    from tinydeploy.figures import read_figures
    from tinydeploy.tables import print_report

    if count < 1:
        raise UsageError(f"--samples {count} is out of range; run at least 1")
    parsed = [parse_limit(text) for text in limits]
    found = compare(read_figures(old, count), read_figures(new, count), parsed)
    if markdown:
        click.echo(diff_markdown(found), nl=False)
    else:
        print_report(diff_report(found))
    write_text(json_file, diff_json(found))
    if found.failures:
        sys.exit(OVER_LIMIT)


def compare_runtimes(project: Project, count: int, json_file: Path | None, constants: Path | None) -> None:
    """Run `project` and its build with the other runtime, which lies beside it, on virtual boards; exit with code 1
    where an output is not TFLite Micro's."""
    from tinydeploy.diff import compare
    from tinydeploy.diff_report import diff_json, diff_report
    from tinydeploy.figures import project_figures
    from tinydeploy.tables import print_report

    interpreted, compiled = _both(project)
    figures = [project_figures(one, count, constants) for one in (interpreted, compiled)]
    found = compare(figures[0], figures[1])
    print_report(diff_report(found, ("TFLite Micro", "tinydeploy")))
    write_text(json_file, diff_json(found))
    if not (found.old.exact and found.new.exact):
        sys.exit(1)


def _both(project: Project) -> tuple[Project, Project]:
    """The build with TFLite Micro's interpreter and the compiled one, of which `project` is one."""
    from tinydeploy.project import MANIFEST, load_project

    suffix = "-tflm"
    folder = project.folder.resolve()
    is_tflm = project.runtime == "tflm"
    other = folder.with_name(folder.name.removesuffix(suffix) if is_tflm else folder.name + suffix)
    if other == folder or not (other / MANIFEST).is_file():
        runtime = "tinydeploy" if is_tflm else "tflm"
        raise UsageError(
            f"there is no {other.name} beside {folder.name}: build the same model with --runtime {runtime} "
            f"--out {other}, then compare"
        )
    found = load_project(other)
    if found.model_sha256 != project.model_sha256 or found.board != project.board or found.runtime == project.runtime:
        raise UsageError(f"{other.name} is not {folder.name}'s model and board with another runtime; build it again")
    return (project, found) if is_tflm else (found, project)
