"""The commands that speak to a device: ``bench``, ``doctor``, ``monitor`` and ``run``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinydeploy.cli_diff import compare_runtimes
from tinydeploy.cli_files import FILE, PORT, PROJECT, SILICON, write_text
from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from tinydeploy.bench import Measurement
    from tinydeploy.project import Project
    from tinydeploy.protocol import About

_BENCH_MACS = 200_000_000


def say(line: str) -> None:
    """What the device prints beside its answers."""
    click.echo(f"device: {line}", err=True)


@click.command(short_help="Measure inference on a device, or on a virtual board.")
@PORT
@PROJECT
@click.option("--samples", "count", type=int, help="How many inferences, the test samples in turn; 10 to 100 by size.")
@click.option("--json", "json_file", type=FILE, help="Write the measurement as JSON too.")
@click.option("--compare", is_flag=True, help="Run this model's build with the other --runtime too, side by side.")
@click.option("--save", "save_file", type=FILE, help="Write a board's measurement beside the prediction, as TOML.")
@SILICON
def bench(
    port: str | None,
    project: Path | None,
    count: int | None,
    json_file: Path | None,
    compare: bool,
    save_file: Path | None,
    constants: Path | None,
) -> None:
    """Run inference on the device at PORT, or on a virtual board, and measure it. Ctrl-C prints what there is."""
    from tinydeploy.bench import bench as measure
    from tinydeploy.connection import connected
    from tinydeploy.image import read_image
    from tinydeploy.project import find_project
    from tinydeploy.report import measurement_json, measurement_report
    from tinydeploy.tables import print_report
    from tinydeploy.terminal import counter

    if count is not None and count < 1:
        raise UsageError(f"--samples {count} is out of range; run at least 1")
    if save_file is not None and port is None:
        raise UsageError("--save keeps what a board measures beside the virtual board's prediction; give its PORT too")
    if constants is not None and port is not None and save_file is None:
        raise UsageError(f"--silicon is for the virtual board's cycles, {port} counts its own: leave one of them away")
    if compare and port is not None:
        raise UsageError(
            "--compare runs both builds on virtual boards: flash and bench them one by one with --json, then compare "
            "the files with tinydeploy diff"
        )
    found = find_project(project)
    image = read_image(found.elf)
    if count is None:
        # A few seconds on the virtual board, and no sample twice.
        count = min(100, max(10, _BENCH_MACS // max(1, found.macs)), len(found.samples().inputs))
    if compare:
        compare_runtimes(found, count, json_file, constants)
        return
    with connected(found, port, on_text=say, constants=constants) as session, counter("samples") as progress:
        measurement = measure(found, session, image, count=count, progress=progress)
        about = session.about() if save_file is not None and not measurement.interrupted else None
    print_report(measurement_report(measurement))
    write_text(json_file, measurement_json(measurement))
    if measurement.interrupted:
        sys.exit(130)
    if save_file is not None:
        _save(save_file, found, measurement, about, constants)
    if not measurement.exact:
        sys.exit(1)


def _save(file: Path, project: Project, measured: Measurement, about: About | None, constants: Path | None) -> None:
    """The board's measurement beside the prediction for the same image."""
    from tinydeploy.measured import comparison_report, measured_toml, predict, require_same_image
    from tinydeploy.tables import print_report

    predicted, counted = predict(project, constants)
    require_same_image(about, counted, measured.device)
    print_report(comparison_report(measured, predicted))
    write_text(file, measured_toml(measured, predicted, counted))
    click.echo(f"\nsaved in {file}; tinydeploy calibrate {file} fits the virtual board to it")


@click.command(short_help="Run one picture, or another input, through the model on a device.")
@PORT
@PROJECT
@click.option("--image", "images", type=FILE, multiple=True, help="A picture; prepared as in training.")
@click.option("--input", "inputs", type=FILE, multiple=True, help="An .npy, or a .bin with the input as in memory.")
@click.option("--json", "json_file", type=FILE, help="Write classes, scores and latencies as JSON too.")
def run(
    port: str | None, project: Path | None, images: tuple[Path, ...], inputs: tuple[Path, ...], json_file: Path | None
) -> None:
    """Run each file through the model on the device at PORT, or on a virtual board: class, scores, latency."""
    from tinydeploy.classify import classify, run_json, run_report
    from tinydeploy.connection import connected
    from tinydeploy.project import find_project
    from tinydeploy.tables import print_report

    if not images and not inputs:
        raise UsageError(
            "give a picture with --image cat.png, or an .npy or .bin file with --input; each may be repeated"
        )
    found = find_project(project)
    with connected(found, port, on_text=say) as session:
        done = classify(found, session, images, inputs)
    print_report(run_report(done))
    write_text(json_file, run_json(done))


@click.command(short_help="Show what the firmware prints, through resets and pulled cables.")
@PORT
@click.option("--baud", type=click.IntRange(300, 4_000_000), help="Bits per second; 115,200 when left out.")
def monitor(port: str | None, baud: int | None) -> None:
    """Show what the firmware at PORT prints until Ctrl-C; without PORT, that of the one board that is connected."""
    from tinydeploy.boards import list_boards
    from tinydeploy.monitor import monitor as watch
    from tinydeploy.ports import port_at, the_port
    from tinydeploy.transport import DEFAULT_BAUD

    found = the_port(list_boards()) if port is None else port_at(port)
    click.echo(f"{found.device} at {baud or DEFAULT_BAUD:,} baud; Ctrl-C ends this", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        watch(found, baud or DEFAULT_BAUD, lambda text: click.echo(text, nl=False))


@click.command(short_help="Find boards, and what stands in their way or makes them slow.")
@PORT
@PROJECT
@click.option("--virtual", is_flag=True, help="Examine the virtual board with the project's firmware instead.")
@click.option("--udev-rules", is_flag=True, help="Print udev rules for the boards' ports and probes, and end.")
@click.option("--json", "json_file", type=FILE, help="Write what was found as JSON too.")
def doctor(port: str | None, project: Path | None, virtual: bool, udev_rules: bool, json_file: Path | None) -> None:
    """Examine flash tools, and the device at PORT or at every USB serial port: access, baud, firmware, what is slow."""
    from tinydeploy.boards import list_boards, project_board
    from tinydeploy.connection import connected
    from tinydeploy.doctor import diagnose_ports, diagnose_session
    from tinydeploy.doctor_report import diagnosis_json, diagnosis_report
    from tinydeploy.ports import port_at, usb_ports
    from tinydeploy.ports import udev_rules as rules
    from tinydeploy.tables import print_report

    if port is not None and virtual:
        raise UsageError(f"--virtual examines the virtual board, {port} a real one: leave one of them away")
    if udev_rules:
        click.echo(rules(list_boards()), nl=False)
        return
    found = _project(project, needed=virtual)
    known = [board for board in list_boards() if found is None or board.name != found.board]
    boards = [*known, *([project_board(found.folder, found.board)] if found else [])]
    if virtual:
        assert found is not None
        with connected(found, on_text=say) as session:
            diagnosis = diagnose_session(session, boards, found)
    else:
        ports = usb_ports() if port is None else (port_at(port),)
        diagnosis = diagnose_ports(ports, boards, found)
    print_report(diagnosis_report(diagnosis))
    write_text(json_file, diagnosis_json(diagnosis))
    if diagnosis.wrong:
        sys.exit(1)


def _project(given: Path | None, *, needed: bool) -> Project | None:
    """The project that is meant; one that was not named and is not there is none."""
    from tinydeploy.project import find_project

    try:
        return find_project(given)
    except UsageError:
        if given is not None or needed:
            raise
        return None
