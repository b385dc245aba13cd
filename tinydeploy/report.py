"""Measurements and verifications for people, as text that also reads well in a pipe, and for programs, as JSON."""

from __future__ import annotations

import dataclasses
import json

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinydeploy.bench import Measurement
from tinydeploy.latency import microseconds
from tinydeploy.tables import print_report as print_report
from tinydeploy.tables import table
from tinydeploy.verify import Verification


def measurement_json(measurement: Measurement) -> str:
    """All fields of `measurement` under their own names, in their order; a newline at the end."""
    return json.dumps(dataclasses.asdict(measurement), indent=2) + "\n"


def verification_json(verification: Verification) -> str:
    """All fields of `verification`, and ``passed``."""
    return json.dumps({"passed": verification.passed, **dataclasses.asdict(verification)}, indent=2) + "\n"


def measurement_report(measurement: Measurement) -> RenderableType:
    """The tables that bench prints: layers, then the whole."""
    return Group(_layers(measurement), "", _summary(measurement))


def verification_report(verification: Verification) -> RenderableType:
    """What verify prints: one line, or the first difference."""
    v = verification
    what = f"{v.model} on {v.board} ({v.core}), {v.device}"
    if v.difference is None:
        return Text(
            f"exact: {what}: {v.tensors:,} tensors with {v.values:,} values of {_count(v.samples, 'input')} equal "
            f"TFLite Micro's, bit for bit ({'all read' if v.full else 'by 64-bit digests'})"
        )
    d = v.difference
    return Text(
        f"DIFFERENT: {what}: input {d.sample}, step {d.step} ({d.layer}, {d.op}), {d.tensor} at "
        f"[{', '.join(map(str, d.index))}]: expected {d.expected}, got {d.got}; {d.elements:,} elements of it differ"
    )


def _layers(m: Measurement) -> Table:
    counts = ("instructions", "cycles") if m.instructions is not None else ("cycles",)
    layers = table(("layer", "op"), ("MACs", *counts, "cycles/MAC", "share"))
    for layer in m.per_layer:
        per_mac = f"{layer.cycles / layer.macs:.2f}" if layer.cycles is not None and layer.macs else "-"
        share = f"{100 * layer.cycles / m.cycles:.1f} %" if layer.cycles is not None else "-"
        counted = (_number(layer.instructions),) if m.instructions is not None else ()
        layers.add_row(layer.name, layer.op, _number(layer.macs), *counted, _number(layer.cycles), per_mac, share)
    layers.add_section()
    per_mac = f"{m.cycles / m.macs:.2f}" if m.macs else "-"
    counted = (_number(m.instructions),) if m.instructions is not None else ()
    layers.add_row("in all", "", _number(m.macs), *counted, _number(m.cycles), per_mac, "100.0 %")
    return layers


def _summary(m: Measurement) -> Table:
    summary = Table(box=None, show_header=False, pad_edge=False)
    summary.add_column(no_wrap=True)
    summary.add_column()
    summary.add_row("model", f"{m.model} ({m.model_sha256[:16]})")
    summary.add_row("board", f"{m.board} ({m.core} at {m.core_hz / 1e6:g} MHz), {m.device}")
    spread = f"{microseconds(m.latency_min_us)} to {microseconds(m.latency_max_us)}"
    summary.add_row("latency", f"{microseconds(m.latency_us)} (median of {_count(m.samples, 'sample')}; {spread})")
    summary.add_row("cycles", f"{m.cycles:,}: {m.cycle_model}")
    if m.instructions is not None:
        summary.add_row("instructions", f"{m.instructions:,}, counted exactly")
    summary.add_row("outputs", _exactness(m))
    if m.accuracy is not None and m.host_accuracy is not None:
        summary.add_row(
            "accuracy",
            f"{100 * m.accuracy:.2f} % on the device, {100 * m.host_accuracy:.2f} % on the host, over these samples",
        )
    summary.add_row("flash", f"{m.flash_bytes:,} B model, {m.firmware_flash_bytes:,} B firmware in all")
    summary.add_row(
        "RAM",
        f"{m.ram_bytes:,} B model (arena {m.arena_bytes:,} B, stack {m.stack_bytes:,} B), "
        f"{m.firmware_ram_bytes:,} B firmware in all",
    )
    if m.interrupted:
        summary.add_row("note", "interrupted: these are the figures of the samples that were done")
    return summary


def _exactness(m: Measurement) -> str:
    if m.exact:
        return f"all {m.samples:,} equal TFLite Micro's, bit for bit" if m.samples > 1 else "equals TFLite Micro's"
    return f"{m.mismatches:,} of {m.samples:,} DIFFER from TFLite Micro's; tinydeploy verify finds where"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
