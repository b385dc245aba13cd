"""Estimates of networks as tables, sentences and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.arithmetic import Estimate, LayerCost
from tinydeploy.latency import microseconds
from tinydeploy.tables import table


def estimate_facts(estimate: Estimate) -> dict[str, Any]:
    """All facts under their own names, for JSON."""
    return {"name": estimate.spec.name, **asdict(estimate), "latency_ms": estimate.latency_ms, "fits": estimate.fits}


def estimate_json(estimate: Estimate) -> str:
    """The same as text."""
    return json.dumps(estimate_facts(estimate), indent=2) + "\n"


def estimate_report(estimate: Estimate) -> RenderableType:
    """The table of layers, the sums, what separable and grouped convolutions save, and what the board will show."""
    rows = table(
        ("layer", "kind", "output"),
        ("MACs", "param.", "weights", "activ.", "access", "of std.", "instr."),
    )
    for layer in estimate.layers:
        rows.add_row(
            layer.name,
            _short(layer.title),
            "x".join(str(size) for size in layer.output_shape),
            *(
                f"{n:,}"
                for n in (
                    layer.macs,
                    layer.parameters,
                    layer.weights_bytes,
                    layer.activation_bytes,
                    layer.access,
                )
            ),
            _share(layer),
            f"{layer.instructions:,}",
        )
    rows.add_section()
    rows.add_row(
        "in all",
        "",
        "",
        f"{estimate.macs:,}",
        f"{estimate.parameters:,}",
        f"{estimate.weights_bytes:,}",
        "",
        f"{estimate.access:,}",
        f"{estimate.macs / estimate.standard_macs:.1%}" if estimate.macs < estimate.standard_macs else "",
        f"{estimate.instructions:,}",
    )
    return Group(rows, "", Text("\n".join(f"{name:<13}{text}" for name, text in _sentences(estimate))))


# Words that leave the table room.
_SHORT = {"depthwise": "dw", "global_average_pool": "mean", "average_pool": "avg", "max_pool": "max"}


def _short(title: str) -> str:
    op, *rest = title.split(" ")
    return " ".join([_SHORT.get(op, op), *rest])


def _share(layer: LayerCost) -> str:
    return f"{layer.saving.share:.1%}" if layer.saving else ""


def _sentences(estimate: Estimate) -> list[tuple[str, str]]:
    lines = [("network", f"{estimate.spec.name}, {estimate.spec.classes} classes, not trained: weights are random")]
    saved = [layer for layer in estimate.layers if layer.saving]
    if saved:
        example = max(saved, key=lambda layer: layer.saving.standard_macs if layer.saving else 0)
        saving = example.saving
        assert saving is not None
        lines.append(
            (
                "saving",
                f"{estimate.standard_macs / estimate.macs:.1f} times fewer MACs than with standard convolutions; "
                f"{' and '.join(saving.layers)}: {saving.formula} = {saving.share:.3f} of {saving.standard_macs:,}",
            )
        )
    lines += [
        ("activations", f"{estimate.activation_bytes:,} B alive at most, at {estimate.peak_layer}"),
        (
            "access",
            f"{estimate.access:,} elements read and written, {estimate.access / max(1, estimate.macs):.2f} a MAC",
        ),
        (
            "columns",
            "activ.: bytes in and out; access: with the weights, in elements; of std.: MACs of a standard one",
        ),
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
