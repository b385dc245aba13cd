"""MLPerf Tiny's outcomes beside the published records: text for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinydeploy.latency import ON_DEVICE, microseconds, origins
from tinydeploy.mlperf import Benchmark
from tinydeploy.mlperf_records import PUBLISHED, TASKS, WINDOW_S, Published
from tinydeploy.tables import table

_SOURCE = (
    "published: mlcommons/tiny_results v0.5 to v1.3, closed division, int8, 1000 / median throughput; "
    "* leaves dead channels out (inferred from its cycles per MAC)"
)


def mlperf_json(benchmarks: Sequence[Benchmark]) -> str:
    """All fields of each benchmark, and the published latencies."""
    content = {
        "benchmarks": [dataclasses.asdict(benchmark) for benchmark in benchmarks],
        "energy": None,
        "published": [dataclasses.asdict(record) for record in PUBLISHED],
        "published_source": _SOURCE,
    }
    return json.dumps(content, indent=2) + "\n"


def mlperf_report(benchmarks: Sequence[Benchmark]) -> RenderableType:
    """What was measured, then latencies and cycles beside the published ones, then what to make of them."""
    return Group(
        _measured(benchmarks),
        "",
        Text("latency in ms"),
        _beside(benchmarks, lambda b: b.latency_us / 1000, lambda p, task: p.ms[task]),
        "",
        Text("millions of cycles"),
        _beside(benchmarks, lambda b: b.cycles / 1e6, lambda p, task: p.megacycles(task)),
        "",
        *(Text(note) for note in _notes(benchmarks)),
    )


def _measured(benchmarks: Sequence[Benchmark]) -> Table:
    made = table(("benchmark", "model", "board"), ("latency", "inf./s", "quality", "target", "outputs exact"))
    for b in benchmarks:
        quality = "no data" if b.quality is None else f"{b.measure} {_quality(b.quality, b.measure)} of {b.samples:,}"
        made.add_row(
            f"{b.task} {b.title}",
            b.model,
            b.board,
            microseconds(b.latency_us),
            f"{b.throughput_per_s:,.2f}",
            quality,
            _quality(b.quality_target, b.measure),
            f"{b.outputs - b.mismatches:,} of {b.outputs:,}",
        )
    return made


def _quality(value: float, measure: str) -> str:
    return f"{100 * value:.1f} %" if measure == "accuracy" else f"{value:.3f}"


def _beside(
    benchmarks: Sequence[Benchmark],
    ours: Callable[[Benchmark], float],
    theirs: Callable[[Published, str], float],
) -> Table:
    """One line per board here, then one per published record."""
    made = table(("core", "software"), [task.name for task in TASKS])
    for board in dict.fromkeys(b.board for b in benchmarks):
        found = {b.task: b for b in benchmarks if b.board == board}
        one = next(iter(found.values()))
        values = [f"{ours(found[task.name]):.2f}" if task.name in found else "-" for task in TASKS]
        made.add_row(f"{one.core} {board} at {one.core_hz / 1e6:g} MHz", "tinydeploy", *values)
    made.add_section()
    for record in PUBLISHED:
        values = [f"{theirs(record, task.name):.2f}{'*' if task.name in record.removed else ' '}" for task in TASKS]
        made.add_row(f"{record.core} {record.chip} at {record.mhz} MHz", record.software, *values)
    return made


def _notes(benchmarks: Sequence[Benchmark]) -> list[str]:
    notes = [_SOURCE]
    notes += origins((b.board, b.cycle_model) for b in benchmarks)
    if any(b.cycle_model != ON_DEVICE for b in benchmarks):
        notes.append("the virtual board's cycles are estimates; published figures are silicon")
    if any(not b.valid_duration for b in benchmarks):
        notes.append(f"windows under {WINDOW_S:g} s: no valid submission, which a board at a port gives")
    notes.append("energy mode is not supported: it needs an instrument")
    return notes
