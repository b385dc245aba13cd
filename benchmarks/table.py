"""Every figure of the README: the reference models for both boards with both toolchains, on the virtual board.

    python -m benchmarks.table [FOLDER] [--board B]... [--toolchain zig|gcc]... [--json FILE]

FOLDER holds .tflite files; ../shared/models beside the checkout when left out. Projects go to build/bench and are built
anew only where something changed. Instructions are exact; cycles are estimates of the virtual board, never measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import click
from rich.console import Group
from rich.text import Text

from tinydeploy.bench import Measurement, bench
from tinydeploy.boards import board_names, load_board
from tinydeploy.build import Request, build
from tinydeploy.errors import TinydeployError, UsageError
from tinydeploy.firmware import write_if_changed
from tinydeploy.project import load_project
from tinydeploy.session import Session
from tinydeploy.tables import print_report, table
from tinydeploy.toolchain import Toolchain
from tinydeploy.transport import VirtualTransport

ROOT = Path(__file__).resolve().parents[1]

# TensorFlow Lite Micro 90b983c2 with CMSIS-NN 4ab83cc3, arm-none-eabi-gcc 12.2 at -O2 (its best), exact outputs:
# instructions of one inference on an M4 and an M7; bytes of flash and RAM of the smallest fast build, model included.
BASELINES: dict[str, dict[str, int]] = {
    "vww_96_int8": {"m4": 24_101_893, "m7": 24_025_519, "flash_bytes": 386_768, "ram_bytes": 102_272},
    "pretrainedResnet_quant": {"m4": 29_862_853, "m7": 30_026_877, "flash_bytes": 149_780, "ram_bytes": 56_560},
    "kws_ref_model": {"m4": 7_697_357, "m7": 7_643_124, "flash_bytes": 107_416, "ram_bytes": 24_384},
    "ad01_int8": {"m4": 582_917, "m7": 583_221, "flash_bytes": 305_120, "ram_bytes": 3_576},
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One model on one board with one toolchain."""

    toolchain: str
    measurement: Measurement

    @property
    def baseline_instructions(self) -> int | None:
        """TFLM with CMSIS-NN on the same core, where it was counted."""
        return BASELINES.get(self.measurement.model, {}).get(self.measurement.core)


def measure(model: Path, board: str, toolchain: Toolchain) -> Row:
    """Build `model` in the current folder and bench one sample."""
    built = build(Request(board, model=model, toolchain=toolchain, out=Path(f"{board}-{model.stem}-{toolchain}")))
    project = load_project(built.folder)
    from tinydeploy.virtual import VirtualBoard

    uart = built.board.uart
    session = Session(VirtualTransport(VirtualBoard(load_board(board), project.elf), uart.baud))
    with contextlib.closing(session):
        return Row(toolchain, bench(project, session, built.image, count=1))


def rows_json(rows: list[Row]) -> str:
    """All measurements, and the baselines they are held against."""
    stored: dict[str, Any] = {
        "baselines": BASELINES,
        "rows": [{"toolchain": row.toolchain, **dataclasses.asdict(row.measurement)} for row in rows],
    }
    return json.dumps(stored, indent=1) + "\n"


def report(rows: list[Row]) -> Group:
    """The table of time, the table of memory, and what the columns are."""
    texts = ("model", "board", "toolchain")
    time = table(texts, ("instructions", "TFLM's", "ratio", "cycles", "ms"))
    memory = table(texts, ("flash B", "TFLM's", "RAM B", "TFLM's", "all flash B", "all RAM B"))
    for row in rows:
        m, base, sizes = row.measurement, row.baseline_instructions, BASELINES.get(row.measurement.model, {})
        name = (m.model, m.board, row.toolchain if m.exact else f"{row.toolchain}: NOT EXACT")
        ratio = f"{m.instructions / base:.2f}" if base and m.instructions else "-"
        counts = (f"{m.instructions:,}", _number(base), ratio, f"{m.cycles:,}", f"{m.latency_us / 1000:.2f}")
        time.add_row(*name, *counts)
        flash = (f"{m.flash_bytes:,}", _number(sizes.get("flash_bytes")), f"{m.ram_bytes:,}")
        firmware = (f"{m.firmware_flash_bytes:,}", f"{m.firmware_ram_bytes:,}")
        memory.add_row(*name, *flash, _number(sizes.get("ram_bytes")), *firmware)
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


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


@click.command()
@click.argument("folder", default=ROOT.parent / "shared/models", type=click.Path(path_type=Path))
@click.option("--board", "boards", multiple=True, help="Only this board; may be repeated.")
@click.option("--toolchain", "toolchains", multiple=True, type=click.Choice(["zig", "gcc"]), help="Only this one.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all measurements as JSON.")
def main(folder: Path, boards: tuple[str, ...], toolchains: tuple[Toolchain, ...], json_file: Path | None) -> None:
    """Build the models of FOLDER for every board with every toolchain and print the table."""
    try:
        models = sorted(folder.resolve().glob("*.tflite"))
        if not models:
            raise UsageError(f"there are no .tflite files in {folder}; name a folder that has some")
        if not toolchains:
            toolchains = ("zig", "gcc") if shutil.which("arm-none-eabi-gcc") else ("zig",)
        target = json_file.resolve() if json_file else None
        work = ROOT / "build/bench"
        work.mkdir(parents=True, exist_ok=True)
        rows = []
        with contextlib.chdir(work):
            for model in models:
                for board in boards or board_names():
                    for toolchain in toolchains:
                        click.echo(f"{model.stem} for {board} with {toolchain}", err=True)
                        rows.append(measure(model, board, toolchain))
        print_report(report(rows))
        if target:
            write_if_changed(target, rows_json(rows).encode())
    except TinydeployError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
