"""What a .tflite holds and needs, and the list of boards, without building anything."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.arena import ArenaMap, map_arena
from tinydeploy.arena_drawing import ArenaDrawing, mark
from tinydeploy.boards import Board, list_boards
from tinydeploy.compiler import compile_graph
from tinydeploy.constants_place import Choice, choices
from tinydeploy.constants_report import constants_report
from tinydeploy.graph import Graph
from tinydeploy.kernel_forms import compile_for
from tinydeploy.latency import by_constants_that_ship
from tinydeploy.lint import lint
from tinydeploy.optimize import Optimize
from tinydeploy.tables import table


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One operator; bytes are of weights as the file stores them, and of the output activation."""

    index: int
    name: str
    op: str
    shape: tuple[int, ...]
    macs: int
    parameters: int
    weights_bytes: int
    output_bytes: int


@dataclass(frozen=True, slots=True)
class BoardFit:
    """Whether the constants fit a board's flash and the arena its RAM; code and link come on top."""

    board: str
    flash_bytes: int
    ram_bytes: int
    fits: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model: its layers, sums, the arena as it would be planned, the boards it fits, and lint's warnings.

    The layers are those of the file; the arena's steps are what is left of them to run. `constants`: where the steps
    read theirs on a board whose flash is known, by the cycles of `cycle_model`.
    """

    model: str
    sha256: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    layers: tuple[LayerFacts, ...]
    macs: int
    parameters: int
    weights_bytes: int
    constants_bytes: int
    arena_bytes: int
    arena: ArenaMap
    constants: tuple[Choice, ...]
    cycle_model: str | None
    fits: tuple[BoardFit, ...]
    warnings: tuple[str, ...]


def inspect_model(
    graph: Graph, board: Board | None, *, optimize: Optimize = "balanced", stream_input: bool = False
) -> Inspection:
    """The facts of `graph`, compiled for `board`'s core, or portably and held against every board."""
    if board is None:
        program = compile_graph(graph, None, optimize=optimize, stream_input=stream_input)
    else:
        program = compile_for(graph, board, optimize=optimize, stream_input=stream_input)
    layers = tuple(
        LayerFacts(
            op.index,
            op.name,
            op.kind,
            graph.tensors[op.output].shape,
            op.macs(graph),
            op.parameters,
            op.weights_bytes,
            graph.tensors[op.output].size_bytes,
        )
        for op in graph.ops
    )
    arena, constants = program.plan.arena_bytes, program.constants_bytes
    return Inspection(
        model=graph.name,
        sha256=graph.sha256,
        input_shape=graph.tensors[graph.input].shape,
        output_shape=graph.tensors[graph.output].shape,
        layers=layers,
        macs=graph.macs,
        parameters=sum(layer.parameters for layer in layers),
        weights_bytes=sum(layer.weights_bytes for layer in layers),
        constants_bytes=constants,
        arena_bytes=arena,
        arena=map_arena(program),
        constants=choices(program),
        cycle_model=by_constants_that_ship(board.part) if board else None,
        fits=tuple(
            BoardFit(
                one.name,
                one.flash.size_bytes,
                one.ram.size_bytes,
                constants <= one.flash.size_bytes and arena <= one.ram.size_bytes,
            )
            for one in ([board] if board else list_boards())
        ),
        warnings=lint(graph),
    )


def inspection_json(inspection: Inspection) -> str:
    """All facts under their own names."""
    return json.dumps(asdict(inspection), indent=2) + "\n"


def inspection_report(inspection: Inspection) -> RenderableType:
    """The table of layers, the arena over time with a table of its buffers, the sums, and what fits."""
    layers = table(("#", "layer", "op", "output"), ("MACs", "parameters", "weights B", "output B"))
    for layer in inspection.layers:
        layers.add_row(
            str(layer.index),
            layer.name,
            layer.op,
            "x".join(str(size) for size in layer.shape),
            *(f"{n:,}" for n in (layer.macs, layer.parameters, layer.weights_bytes, layer.output_bytes)),
        )
    layers.add_section()
    layers.add_row(
        "", "in all", "", "", f"{inspection.macs:,}", f"{inspection.parameters:,}", f"{inspection.weights_bytes:,}", ""
    )
    lines = [
        f"{inspection.model}: arena {inspection.arena_bytes:,} B, constants {inspection.constants_bytes:,} B packed, "
        "code and firmware on top",
        *(
            f"{fit.board}: {'fits' if fit.fits else 'DOES NOT FIT'} "
            f"(flash {fit.flash_bytes:,} B, RAM {fit.ram_bytes:,} B)"
            for fit in inspection.fits
        ),
        *(f"warning: {warning}" for warning in inspection.warnings),
    ]
    chosen = constants_report([asdict(choice) for choice in inspection.constants], inspection.cycle_model)
    return Group(layers, *_arena_report(inspection.arena), *chosen, "", Text("\n".join(lines)))


def _arena_report(arena: ArenaMap) -> tuple[RenderableType, ...]:
    """The drawing and the table of what it shows; nothing where no step runs."""
    if not arena.steps:
        return ()
    buffers = table(("", "buffer", "holds"), ("offset B", "size B", "first", "last"))
    for number, span in enumerate(arena.spans):
        numbers = (f"{span.offset_bytes:,}", f"{span.size_bytes:,}", str(span.first), str(span.last))
        buffers.add_row(mark(number), span.name, span.kind, *numbers)
    title = Text("The arena over time: offsets upwards, steps to the right, letters as in the table below.")
    return ("", title, "", ArenaDrawing(arena), "", buffers)


def boards_json(boards: tuple[Board, ...]) -> str:
    """The list for programs."""
    return json.dumps([_board_facts(board) for board in boards], indent=2) + "\n"


def boards_report(boards: tuple[Board, ...]) -> RenderableType:
    """A row per board."""
    rows = table(("board", "title", "part", "core"), ("MHz", "flash KiB", "RAM KiB"))
    for board in boards:
        rows.add_row(
            board.name,
            board.title,
            board.part,
            board.core.title,
            f"{board.clock.sysclk_hz / 1e6:g}",
            f"{board.flash.size_bytes // 1024:,}",
            f"{board.ram.size_bytes // 1024:,}",
        )
    return rows


def _board_facts(board: Board) -> dict[str, object]:
    return {
        "name": board.name,
        "title": board.title,
        "part": board.part,
        "core": board.core.name,
        "core_hz": board.clock.sysclk_hz,
        "flash_bytes": board.flash.size_bytes,
        "ram_bytes": board.ram.size_bytes,
        "uart": board.uart.instance,
        "baud": board.uart.baud,
    }
