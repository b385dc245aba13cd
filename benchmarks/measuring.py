"""Builds a model for a board, or for a bare core, and measures one inference on the virtual one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from support.counting import Count, count_model  # noqa: E402  (needs the path above)

from tinydeploy.bench import Measurement, bench  # noqa: E402
from tinydeploy.boards import Board, load_board  # noqa: E402
from tinydeploy.build import Request, build  # noqa: E402
from tinydeploy.compiler import Program, compile_graph  # noqa: E402
from tinydeploy.cores import CORES, Core  # noqa: E402
from tinydeploy.errors import InternalError, UsageError  # noqa: E402
from tinydeploy.files import write_if_changed  # noqa: E402
from tinydeploy.graph import Graph  # noqa: E402
from tinydeploy.project import load_project  # noqa: E402
from tinydeploy.reference import run_graph  # noqa: E402
from tinydeploy.session import Session  # noqa: E402
from tinydeploy.tflite import read_model  # noqa: E402
from tinydeploy.toolchain import Toolchain  # noqa: E402
from tinydeploy.transport import VirtualTransport  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Row:
    """One model on one board with one toolchain; `options` are those of the build that are not the defaults.

    ``code_bytes`` and ``constants_bytes`` together are the measurement's flash_bytes. ``zero_wait_cycles`` are by the
    core's rules alone, as our targets are; the measurement's by what is known of the chip, its flash included.
    """

    toolchain: str
    options: Mapping[str, Any]
    code_bytes: int
    constants_bytes: int
    zero_wait_cycles: int
    measurement: Measurement


def models_in(folder: Path) -> list[Path]:
    """The .tflite files of `folder`, by name. Raises UsageError where there are none."""
    models = sorted(folder.resolve().glob("*.tflite"))
    if not models:
        raise UsageError(f"there are no .tflite files in {folder}; name a folder that has some")
    return models


@contextlib.contextmanager
def in_work_folder() -> Iterator[None]:
    """Builds go to the repository's build/bench meanwhile."""
    work = ROOT / "build/bench"
    work.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(work):
        yield


def write_rows(file: Path | None, rows: Iterable[Any]) -> None:
    """Dataclasses as a JSON array, where a file is wanted."""
    if file is not None:
        write_if_changed(file, (json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n").encode())


def measure(model: Path, board: str, toolchain: Toolchain, options: Mapping[str, Any] | None = None) -> Row:
    """Build `model` in the current folder and bench one sample."""
    options = options or {}
    chosen = "".join(f"-{key}-{value}" for key, value in sorted(options.items()))
    out = Path(f"{board}-{model.stem}-{toolchain}{chosen}")
    built = build(Request(board, model=model, toolchain=toolchain, out=out, **options))
    project = load_project(built.folder)
    from tinydeploy.virtual import VirtualBoard

    def measured(cycles: Literal["shipped", "rules"]) -> Measurement:
        device = VirtualBoard(load_board(board), project.elf, cycles=cycles)
        with contextlib.closing(Session(VirtualTransport(device, built.board.uart.baud))) as session:
            return bench(project, session, built.image, count=1)

    shipped = measured("shipped")
    code = built.image.section(".model_text")
    code_bytes = code.size_bytes if code else 0
    zero_wait_cycles = measured("rules").cycles
    return Row(toolchain, options, code_bytes, shipped.flash_bytes - code_bytes, zero_wait_cycles, shipped)


def measure_core(model: Path, core_name: str, options: Mapping[str, Any] | None = None) -> Count:
    """Count one inference of `model` on a core that no board of ours has; its output must equal the reference's."""
    core = CORES[core_name]
    graph = read_model(model.read_bytes(), model.stem)
    program = compile_graph(graph, core, **(options or {}))
    return count_exactly(graph, program, core, Path(f"{core_name}-{model.stem}"))


def count_exactly(graph: Graph, program: Program, core: Core, folder: Path, board: Board | None = None) -> Count:
    """Count one inference of `program`, which was compiled from `graph`, on a bare core, or that of a calibrated
    `board` with its flash; its output must equal the reference's."""
    counted = count_model(program, core, folder, board=board)
    expected = run_graph(graph, counted.input)[graph.output]
    if counted.output != expected.tobytes():
        raise InternalError(f"{graph.name} on {core.title} gives another output than the reference; report this")
    return counted
