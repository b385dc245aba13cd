"""Networks of the zoo, on a board or on none, as tables, sentences and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.arithmetic import Estimate
from tinydeploy.latency import microseconds
from tinydeploy.layer_arithmetic import Arithmetic, LayerArithmetic
from tinydeploy.tables import table


def estimate_facts(estimate: Estimate) -> dict[str, Any]:
    """All facts under their own names, for JSON."""
    return {**_facts(estimate), "latency_ms": estimate.latency_ms, "fits": estimate.fits}


def estimate_json(estimate: Estimate) -> str:
    """The same as text."""
    return json.dumps(estimate_facts(estimate), indent=2) + "\n"


def arithmetic_json(found: Arithmetic) -> str:
    """A network's arithmetic under the names that an estimate has, as text."""
    return json.dumps(_facts(found), indent=2) + "\n"


def _facts(found: Arithmetic) -> dict[str, Any]:
    return {"name": found.spec.name, **asdict(found)}


def estimate_report(estimate: Estimate) -> RenderableType:
    """The table of layers, the sums, what separable and grouped convolutions save, and what the board will show."""
    instructions = ("instr.", [layer.instructions for layer in estimate.layers], estimate.instructions)
    return _report(estimate, [instructions], [*_network(estimate), *_on_board(estimate)])


def arithmetic_report(found: Arithmetic) -> RenderableType:
    """The same without a board."""
    on_board = ("board", "none: with --board, what it will cost there")
    return _report(found, [], [*_network(found), on_board])


def _report(
    found: Arithmetic, more: Sequence[tuple[str, Sequence[int], int]], sentences: Sequence[tuple[str, str]]
) -> RenderableType:
    """The layers with `more` columns (heading, figures, sum), and sentences below them."""
    rows = table(
        ("layer", "kind", "output"),
        ("MACs", "param.", "weights", "activ.", "access", "of std.", *(heading for heading, _, _ in more)),
    )
    for number, layer in enumerate(found.layers):
        figures = (layer.macs, layer.parameters, layer.weights_bytes, layer.activation_bytes, layer.access)
        rows.add_row(
            layer.name,
            _short(layer.title),
            "x".join(str(size) for size in layer.output_shape),
            *(f"{figure:,}" for figure in figures),
            _share(layer),
            *(f"{column[number]:,}" for _, column, _ in more),
        )
    rows.add_section()
    rows.add_row(
        "in all",
        "",
        "",
        f"{found.macs:,}",
        f"{found.parameters:,}",
        f"{found.weights_bytes:,}",
        "",
        f"{found.access:,}",
        f"{found.macs / found.standard_macs:.1%}" if found.macs < found.standard_macs else "",
        *(f"{total:,}" for _, _, total in more),
    )
    return Group(rows, "", Text("\n".join(f"{name:<13}{text}" for name, text in sentences)))


# Words that leave the table room.
_SHORT = {"depthwise": "dw", "global_average_pool": "mean", "average_pool": "avg", "max_pool": "max"}


def _short(title: str) -> str:
    op, *rest = title.split(" ")
    return " ".join([_SHORT.get(op, op), *rest])


def _share(layer: LayerArithmetic) -> str:
    return f"{layer.saving.share:.1%}" if layer.saving else ""


def _network(found: Arithmetic) -> list[tuple[str, str]]:
    lines = [("network", f"{found.spec.name}, {found.spec.classes} classes, not trained: weights are random")]
    saved = [layer for layer in found.layers if layer.saving]
    if saved:
        example = max(saved, key=lambda layer: layer.saving.standard_macs if layer.saving else 0)
        saving = example.saving
        assert saving is not None
        lines.append(
            (
                "saving",
                f"{found.standard_macs / found.macs:.1f} times fewer MACs than with standard convolutions; "
                f"{' and '.join(saving.layers)}: {saving.formula} = {saving.share:.3f} of {saving.standard_macs:,}",
            )
        )
    return [
        *lines,
        ("activations", f"{found.activation_bytes:,} B alive at most, at {found.peak_layer}"),
        (
            "access",
            f"{found.access:,} elements read and written, {found.access / max(1, found.macs):.2f} a MAC",
        ),
        (
            "columns",
            "activ.: bytes in and out; access: with the weights, in elements; of std.: MACs of a standard one",
        ),
    ]


def _on_board(estimate: Estimate) -> list[tuple[str, str]]:
    lines = [
        ("board", f"{estimate.board} ({estimate.core} at {estimate.core_hz / 1e6:g} MHz): predicted, not measured"),
        ("latency", microseconds(1000 * estimate.latency_ms)),
        ("cycles", f"{estimate.cycles:,}: {estimate.cycle_model}"),
        ("instructions", f"{estimate.instructions:,}"),
        (
            "flash",
            f"{estimate.flash_bytes:,} B model (constants {estimate.constants_bytes:,} B, "
            f"code {estimate.code_bytes:,} B), {estimate.firmware_flash_bytes:,} of {estimate.board_flash_bytes:,} B "
            "with all firmware",
        ),
        (
            "RAM",
            f"{estimate.arena_bytes:,} B arena, {estimate.firmware_ram_bytes:,} of {estimate.board_ram_bytes:,} B "
            "with all firmware",
        ),
        ("fit", "fits" if estimate.fits else "DOES NOT FIT"),
    ]
    if estimate.unmeasured:
        lines.append(
            ("rough", f"{', '.join(estimate.unmeasured)}: newer than the cost model, taken as the nearest kernel")
        )
    return lines
