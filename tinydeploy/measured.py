"""A board's measurement beside what the virtual board predicts for the same image: one TOML per model and board.

Plain enough to read, to compare and to share; docs/MEASUREMENTS.md describes the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy import __version__
from tinydeploy.bench import INVOKE_SYMBOL, Layer, Measurement, bench
from tinydeploy.boards import Board, project_board
from tinydeploy.connection import connected
from tinydeploy.emulation import chosen_silicon
from tinydeploy.errors import BoardError, MismatchError
from tinydeploy.image import read_image
from tinydeploy.latency import ON_DEVICE
from tinydeploy.project import Project
from tinydeploy.protocol import About
from tinydeploy.stricttoml import Table, read_toml, toml_lines
from tinydeploy.tables import table
from tinydeploy.transport import VirtualTransport

if TYPE_CHECKING:
    from tinydeploy.virtual.models.silicon import Silicon

FORMAT = 1
_HEADER = "# From `tinydeploy bench PORT --save`: what a board measured, and what the virtual board predicts.\n"
# Raised when the virtual board's rules change what a count means, so that older counts are not taken for new ones.
_COUNTED_BY = 3

Value = str | int | float
Shape = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Counted:
    """What the virtual board counts in one inference, enough to predict it by any constants of this chip.

    ``counts`` are by the names of ``virtual/fitting.py``, with caches of the shapes ``caches``: sets, ways, bytes of a
    line and of a sector. ``rules_cycles``: by the core's rules alone. ``compiler`` made the image, with ``flags`` for
    the model.
    """

    part: str
    wait_states: int
    compiler: str
    flags: str
    rules_cycles: int
    counts: Mapping[str, float]
    caches: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of ``bench --save``, as far as calibrating needs it. ``measured``: cycles of one inference."""

    path: Path
    board: str
    core: str
    core_hz: int
    model: str
    fingerprint: str
    measured: int
    samples: int
    counted: Counted


def predict(project: Project, constants: Path | None = None) -> tuple[Measurement, Counted]:
    """The project's image on the virtual board: what it predicts by `constants`, or as the project has it, and counts.

    An inference before the one that is counted fills the caches, as on the board. For a chip without constants, the
    caches are those of the chip of the same core that is most like it.
    """
    from tinydeploy.virtual.silicon_file import nearest_silicon, silicon_of

    board = project_board(project.folder, project.board)
    known = chosen_silicon(project.folder, board, constants) or silicon_of(board.part)
    counting = known or nearest_silicon(board.part, project.core)
    if counting is None:
        raise BoardError(f"the virtual board cannot count for the {project.core} of {project.board}; leave --save away")
    predicted, counted = _run(project, board, counting)
    if known is None:
        with connected(project) as session:
            predicted = bench(project, session, read_image(project.elf), count=2)
    return predicted, counted


def _run(project: Project, board: Board, silicon: Silicon) -> tuple[Measurement, Counted]:
    from tinydeploy.virtual.fitting import cache_sizes, counts, rules_cycles

    with connected(project, constants=silicon) as session:
        assert isinstance(session.transport, VirtualTransport)
        tally = session.transport.board.tally(INVOKE_SYMBOL)
        predicted = bench(project, session, read_image(project.elf), count=2)
        about = session.about()
    if predicted.interrupted:
        raise KeyboardInterrupt
    assert tally.edges is not None
    return predicted, Counted(
        board.part,
        board.clock.flash_wait_states,
        about.compiler if about else "",
        about.model_flags if about else "",
        rules_cycles(tally.edges, board.core),
        counts(tally.edges, tally.traffic, silicon),
        cache_sizes(silicon),
    )


def require_same_image(about: About | None, counted: Counted, where: str) -> None:
    """MismatchError where the board at `where` runs the same sources as here, but compiled otherwise."""
    if about is not None and (about.compiler, about.model_flags) != (counted.compiler, counted.flags):
        raise MismatchError(
            f"{where} runs an image by {about.compiler} {about.model_flags}, the one here is by {counted.compiler} "
            f"{counted.flags}; flash this one (make flash), then measure again"
        )


def measured_toml(measured: Measurement, predicted: Measurement, counted: Counted) -> str:
    """All as TOML. They are of the same build."""
    assert measured.fingerprint == predicted.fingerprint
    facts: dict[str, Value] = {
        "format": FORMAT,
        "tool_version": __version__,
        "board": measured.board,
        "part": counted.part,
        "core": measured.core,
        "core_hz": measured.core_hz,
        "flash_wait_states": counted.wait_states,
        "model": measured.model,
        "model_sha256": measured.model_sha256,
        "fingerprint": measured.fingerprint,
        "compiler": counted.compiler,
        "model_flags": counted.flags,
        "macs": measured.macs,
        "exact": measured.exact,
    }
    hz = measured.core_hz / 1e6
    tables: list[tuple[str, Mapping[str, object]]] = [
        (
            "[measured]",
            {
                "cycle_model": measured.cycle_model,
                "samples": measured.samples,
                "cycles": measured.cycles,
                "cycles_min": round(measured.latency_min_us * hz),
                "cycles_max": round(measured.latency_max_us * hz),
                "stack_bytes": measured.stack_bytes,
            },
        ),
        (
            "[predicted]",
            {
                "cycle_model": predicted.cycle_model,
                "cycles": predicted.cycles,
                "instructions": predicted.instructions or 0,
                "stack_bytes": predicted.stack_bytes,
            },
        ),
        (
            "[counted]",
            {
                "by": _COUNTED_BY,
                "rules": counted.rules_cycles,
                **{name: round(value) for name, value in counted.counts.items()},
            },
        ),
        ("[counted_with]", {name: list(shape) for name, shape in counted.caches.items()}),
        *(("[[layer]]", _layer(m, p)) for m, p in zip(measured.per_layer, predicted.per_layer, strict=True)),
    ]
    return _HEADER + toml_lines(facts) + "".join(f"\n{name}\n{toml_lines(keys)}" for name, keys in tables)


def read_stored(path: Path) -> Stored:
    """The file `path` of ``bench --save``. BoardError that names the file and what is wrong with it."""
    top = read_toml(path, str(path))
    if not top.values:
        raise top.error("it is empty; write it with tinydeploy bench PORT --save")
    for key in ("format", "board", "measured"):
        if key not in top.values:
            raise top.error(f"it has no {key!r}, so it is none of tinydeploy bench PORT --save; give one of those")
    if (found := top.integer("format", 0, 1 << 30)) != FORMAT:
        raise top.error(f"its format is {found}, this tinydeploy reads {FORMAT}; measure again")
    if "counted" not in top.values:
        raise top.error("an older tinydeploy wrote it, without [counted]; measure again")
    _require(top, "part", "core", "core_hz", "flash_wait_states", "model", "fingerprint", "exact", "counted_with")
    measured, counted = top.table("measured"), top.table("counted")
    _require(measured, "samples", "cycles", "cycles_min", "cycles_max")
    _require(counted, "by", "rules", "straight")
    if counted.integer("by", 0, 1 << 30) != _COUNTED_BY:
        raise counted.error("another version of the virtual board's rules counted this; measure again")
    if not top.boolean("exact"):
        raise top.error("the board's outputs were not TFLite Micro's; find why with tinydeploy verify PORT first")
    cycles = measured.integer("cycles", 1, 1 << 50)
    if not measured.integer("cycles_min", 0, 1 << 50) <= cycles <= measured.integer("cycles_max", 0, 1 << 50):
        raise measured.error(f"cycles is {cycles:,}, which is not between cycles_min and cycles_max; measure again")
    return Stored(
        path,
        top.text("board"),
        top.text("core"),
        top.integer("core_hz", 1, 10**10),
        top.text("model"),
        top.text("fingerprint"),
        cycles,
        measured.integer("samples", 1, 1 << 30),
        Counted(
            top.text("part"),
            top.integer("flash_wait_states", 0, 15),
            str(top.values.get("compiler", "")),
            str(top.values.get("model_flags", "")),
            counted.integer("rules", 1, 1 << 50),
            {name: counted.integer(name, 0, 1 << 50) for name in counted.values if name not in ("by", "rules")},
            _shapes(top.table("counted_with")),
        ),
    )


def _require(table: Table, *keys: str) -> None:
    for key in keys:
        if key not in table.values:
            raise table.error(f"missing key {key!r}; measure again with tinydeploy bench PORT --save")


def _shapes(caches: Table) -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    for name, shape in caches.values.items():
        if not isinstance(shape, list) or len(shape) != 4 or not all(isinstance(size, int) for size in shape):
            raise caches.error(f"{name} must be four sizes, not {shape!r}")
        sets, ways, line, sector = shape
        found[name] = (sets, ways, line, sector)
    return found


def comparison_report(measured: Measurement, predicted: Measurement) -> RenderableType:
    """How far the prediction is from the board, layer by layer."""
    made = table(("layer", "op"), ("measured", "predicted", "error"))
    for m, p in zip(measured.per_layer, predicted.per_layer, strict=True):
        made.add_row(m.name, m.op, *_compared(m.cycles, p.cycles))
    made.add_section()
    made.add_row("in all", "", *_compared(measured.cycles, predicted.cycles))
    return Group("", made, "", Text(f"cycles; {ON_DEVICE}; predicted: {predicted.cycle_model}"))


def _compared(measured: int | None, predicted: int | None) -> tuple[str, str, str]:
    if not measured or predicted is None:
        return "-", "-" if predicted is None else f"{predicted:,}", "-"
    return f"{measured:,}", f"{predicted:,}", f"{100 * (predicted / measured - 1):+.1f} %"


def _layer(measured: Layer, predicted: Layer) -> dict[str, Value]:
    """What is not known is left out: TOML has no null."""
    keys: dict[str, Value | None] = {
        "name": measured.name,
        "op": measured.op,
        "macs": measured.macs,
        "measured_cycles": measured.cycles,
        "predicted_cycles": predicted.cycles,
        "predicted_instructions": predicted.instructions,
    }
    return {key: value for key, value in keys.items() if value is not None}
