"""The command ``mlperf``: its arguments in, the benchmarks built and run one after the other, text and JSON out."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinydeploy.cli_files import FILE, FOLDER, PORT, PROJECT, write_text
from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from tinydeploy.mlperf import Benchmark
    from tinydeploy.project import Project


@click.command(short_help="Run MLPerf Tiny's benchmarks, beside the published records.")
@PORT
@PROJECT
@click.option(
    "--model",
    "models",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Build this .tflite first (with --board); may be given again, or be a folder of them.",
)
@click.option("--board", help="The board to build --model for.")
@click.option("--data", type=FOLDER, help="The official inputs: a folder with kws01/ or kws01.tar.xz and so on.")
@click.option("--samples", "count", type=int, help="How many of the official inputs; all when left out.")
@click.option("--json", "json_file", type=FILE, help="Write the outcome as JSON too.")
def mlperf(
    port: str | None,
    project: Path | None,
    models: tuple[Path, ...],
    board: str | None,
    data: Path | None,
    count: int | None,
    json_file: Path | None,
) -> None:
    """Run MLPerf Tiny's performance and accuracy modes on the device at PORT, or on virtual boards."""
    from tinydeploy.mlperf_report import mlperf_json, mlperf_report
    from tinydeploy.project import find_project
    from tinydeploy.tables import print_report

    if bool(models) != (board is not None):
        raise UsageError("--model and --board go together: mlperf builds those models for that board")
    if models and project is not None:
        raise UsageError("--model is built first, --project is ready: leave one of them away")
    if count is not None and count < 1:
        raise UsageError(f"--samples {count} is out of range; run at least 1")
    if count is not None and data is None:
        raise UsageError("--samples goes with --data: it says how many of the official inputs there")
    if data is not None and not data.is_dir():
        raise UsageError(f"there is no folder {data}; give one that holds kws01/ or kws01.tar.xz")
    if port is not None and len(_files(models)) > 1:
        raise UsageError(f"one board at {port} holds one model: give one --model at a time, and flash it")
    projects = [_build(path, board) for path in _files(models)] if board is not None else [find_project(project)]
    _check_data(data, projects)
    done = [_run(found, port, data, count) for found in projects]
    print_report(mlperf_report(done))
    write_text(json_file, mlperf_json(done))
    if any(benchmark.mismatches for benchmark in done):
        sys.exit(1)


def _files(models: tuple[Path, ...]) -> list[Path]:
    """The .tflite files that are meant, those of folders in alphabetical order."""
    return [file for path in models for file in (sorted(path.glob("*.tflite")) if path.is_dir() else [path])]


def _build(model: Path, board: str) -> Project:
    from tinydeploy.build import Request, build
    from tinydeploy.project import load_project
    from tinydeploy.terminal import TrainingBar

    with TrainingBar() as bar:
        return load_project(build(Request(board, model=model), stage=bar.stage).folder)


def _check_data(data: Path | None, projects: list[Project]) -> None:
    """UsageError where `data` would not be used: a folder of other things."""
    from tinydeploy.mlperf import task_for
    from tinydeploy.mlperf_data import has_samples

    tasks = [task_for(project) for project in projects]
    if data is not None and not any(has_samples(data, task) for task in tasks):
        name = tasks[0].name
        raise UsageError(f"{data} holds no inputs of {name}; give a folder that holds {name}/ or {name}.tar.xz")


def _run(project: Project, port: str | None, data: Path | None, count: int | None) -> Benchmark:
    from tinydeploy.boards import project_board
    from tinydeploy.emulation import emulated
    from tinydeploy.mlperf import run, task_for
    from tinydeploy.mlperf_data import read_samples
    from tinydeploy.terminal import counter
    from tinydeploy.transport import SerialTransport, Transport, VirtualTransport

    task = task_for(project)
    samples = None if data is None else read_samples(data, task, count)
    board = project_board(project.folder, project.board)
    transport: Transport
    if port is None:
        transport = VirtualTransport(emulated(project), board.uart.baud)
    else:
        transport = SerialTransport(port, board.uart.baud)
    with closing(transport):
        return run(
            project,
            transport,
            board.clock.hclk_hz,
            samples,
            on_text=lambda line: click.echo(f"device: {line}", err=True),
            stage=counter,
        )
