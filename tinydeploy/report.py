"""Measurements and verifications for people, as text that also reads well in a pipe, and for programs, as JSON."""

from __future__ import annotations

import dataclasses
import json

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinydeploy.bench import Measurement
from tinydeploy.verify import Verification

_PIPE_WIDTH = 120  # columns when the output is no terminal


def measurement_json(measurement: Measurement) -> str:
    """All fields of `measurement` under their own names, in their order; a newline at the end."""
    return json.dumps(dataclasses.asdict(measurement), indent=2) + "\n"


def verification_json(verification: Verification) -> str:
    """All fields of `verification`, and ``passed``."""
    return json.dumps({"passed": verification.passed, **dataclasses.asdict(verification)}, indent=2) + "\n"


def print_report(report: RenderableType, console: Console | None = None) -> None:
    """Prints to the terminal, or without colours and at a fixed width to a pipe."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(report)


def measurement_report(measurement: Measurement) -> RenderableType:
    """The tables that bench prints: layers, then the whole."""
    return Group(_layers(measurement), _summary(measurement))


def verification_report(verification: Verification) -> RenderableType:
    """What verify prints: one line, or the first difference."""
    v = verification
    what = f"{v.model} on {v.board} ({v.core}), {v.device}"
    if v.difference is None:
        return Text(
            f"exact: {what}: {v.tensors:,} tensors with {v.values:,} values of {_count(v.samples, 'input')} equal "
            "TFLite Micro's, bit for bit"
        )
    d = v.difference
    return Text(
        f"DIFFERENT: {what}: input {d.sample}, step {d.step} ({d.layer}, {d.op}), {d.tensor} at "
        f"[{', '.join(map(str, d.index))}]: expected {d.expected}, got {d.got}; {d.elements:,} elements of it differ"
    )


def _layers(m: Measurement) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=None, pad_edge=False)
    table.add_column("layer", no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column("op", no_wrap=True)
    for column in ("MACs", *(("instructions",) if m.instructions is not None else ()), "cycles", "cycles/MAC", "share"):
        table.add_column(column, justify="right", no_wrap=True)
    for layer in m.per_layer:
        per_mac = f"{layer.cycles / layer.macs:.2f}" if layer.cycles is not None and layer.macs else "-"
        share = f"{100 * layer.cycles / m.cycles:.1f} %" if layer.cycles is not None else "-"
        counted = (_number(layer.instructions),) if m.instructions is not None else ()
        table.add_row(layer.name, layer.op, _number(layer.macs), *counted, _number(layer.cycles), per_mac, share)
    table.add_section()
    per_mac = f"{m.cycles / m.macs:.2f}" if m.macs else "-"
    counted = (_number(m.instructions),) if m.instructions is not None else ()
    table.add_row("in all", "", _number(m.macs), *counted, _number(m.cycles), per_mac, "100.0 %")
    return table


def _summary(m: Measurement) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("model", f"{m.model} ({m.model_sha256[:16]})")
    table.add_row("board", f"{m.board} ({m.core} at {m.core_hz / 1e6:g} MHz), {m.device}")
    spread = f"{_microseconds(m.latency_min_us)} to {_microseconds(m.latency_max_us)}"
    table.add_row("latency", f"{_microseconds(m.latency_us)} (median of {_count(m.samples, 'sample')}; {spread})")
    table.add_row("cycles", f"{m.cycles:,}: {m.cycle_model}")
    if m.instructions is not None:
        table.add_row("instructions", f"{m.instructions:,}, counted exactly")
    table.add_row("outputs", _exactness(m))
    if m.accuracy is not None and m.host_accuracy is not None:
        table.add_row(
            "accuracy",
            f"{100 * m.accuracy:.2f} % on the device, {100 * m.host_accuracy:.2f} % on the host, over these samples",
        )
    table.add_row("flash", f"{m.flash_bytes:,} B model, {m.firmware_flash_bytes:,} B firmware in all")
    table.add_row(
        "RAM",
        f"{m.ram_bytes:,} B model (arena {m.arena_bytes:,} B, stack {m.stack_bytes:,} B), "
        f"{m.firmware_ram_bytes:,} B firmware in all",
    )
    if m.interrupted:
        table.add_row("note", "interrupted: these are the figures of the samples that were done")
    return table


def _exactness(m: Measurement) -> str:
    if m.exact:
        return f"all {m.samples:,} equal TFLite Micro's, bit for bit" if m.samples > 1 else "equals TFLite Micro's"
    return f"{m.mismatches:,} of {m.samples:,} DIFFER from TFLite Micro's; tinydeploy verify finds where"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _microseconds(value: float) -> str:
    return f"{value / 1000:.3f} ms" if value >= 1000 else f"{value:.1f} us"
