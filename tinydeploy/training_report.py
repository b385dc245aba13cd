"""How a network was trained and what int8 made of it, as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tinydeploy.training_cache import Trained

TRAINING_REPORT = "report.html"
_TEMPLATE = Path(__file__).parent / "templates" / "training.html.j2"
# Of a chart, in SVG units: the drawing's size, and the margins in which its labels stand.
_WIDTH, _HEIGHT = 460, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 14, 30
_TICKS = 4
# Accuracies that differ by more are labelled in whole percent.
_COARSE = 0.05
_NAMED_CONFUSIONS = 6


@dataclass(frozen=True, slots=True)
class Chart:
    """A line over epochs, in SVG units. `ticks` are (y, label), `break_x` is where quantized training begins."""

    title: str
    points: str
    last_x: float
    last_y: float
    last: str
    ticks: tuple[tuple[float, str], ...]
    epochs: tuple[tuple[float, str], ...]
    break_x: float | None
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT
    bottom: int = _HEIGHT - _BOTTOM


def training_report(trained: Trained, manifest: Mapping[str, Any]) -> str:
    """The page for a training and the project's `manifest`: the same training gives the same bytes."""
    import jinja2

    facts = trained.facts
    pages = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    noises = [layer["sqnr_db"] for layer in facts["noise"] if layer["sqnr_db"] is not None]
    return pages.from_string(_TEMPLATE.read_text("utf-8")).render(
        facts=facts,
        manifest=manifest,
        percent=_percent,
        margin=_margin(facts["int8_accuracy"], facts["evaluated"]),
        charts=_charts(facts),
        matrix=_matrix(facts),
        confusions=_confusions(facts),
        pictures=[_picture(trained, mistake) for mistake in facts["worst"]],
        least_db=min(noises, default=None),
        most_db=max([1.0, *noises]),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _margin(share: float, samples: int) -> float:
    """Half the width of the 95 % interval (Wilson's) of an accuracy measured on so many samples."""
    z = 1.96
    return z / (1 + z * z / samples) * math.sqrt(share * (1 - share) / samples + z * z / (4 * samples * samples))


def _charts(facts: Mapping[str, Any]) -> list[Chart]:
    epochs = [*facts["history"], *facts["tuning"]]
    before = len(facts["history"]) if facts["tuning"] else None
    losses, accuracies = ([one[name] for one in epochs] for name in ("loss", "validation_accuracy"))
    return [
        _chart("Loss on the training images", losses, before, percent=False),
        _chart("Accuracy on the validation images", accuracies, before, percent=True),
    ]


def _chart(title: str, values: Sequence[float], before: int | None, *, percent: bool) -> Chart:
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = (0.0 if not percent else min(finite)), max(finite)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(epoch: float) -> float:
        return round(_LEFT + (right - _LEFT) * (epoch / max(1, len(values) - 1)), 1)

    def y(value: float) -> float:
        inside = min(max(value, low), high) if math.isfinite(value) else high
        return round(bottom - (bottom - _TOP) * (inside - low) / (high - low), 1)

    def label(value: float) -> str:
        if not percent:
            return f"{value:.2f}"
        return f"{100 * value:.0f} %" if high - low > _COARSE else f"{100 * value:.1f} %"

    levels = [low + (high - low) * i / _TICKS for i in range(_TICKS + 1)]
    shown = sorted({0, (len(values) - 1) // 2, len(values) - 1})
    return Chart(
        title,
        " ".join(f"{x(i)},{y(value)}" for i, value in enumerate(values)),
        x(len(values) - 1),
        y(values[-1]),
        f"{100 * values[-1]:.2f} %" if percent else f"{values[-1]:.3f}",
        tuple((y(level), label(level)) for level in levels),
        tuple((x(i), str(i + 1)) for i in shown),
        x(before - 0.5) if before is not None else None,
    )


def _matrix(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per true class: its name and, per given class, count and share of the row."""
    rows = []
    for name, counts in zip(facts["classes"], facts["confusion"], strict=True):
        total = max(1, sum(counts))
        rows.append({"name": name, "cells": [{"count": count, "share": count / total} for count in counts]})
    return rows


def _confusions(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The most frequent mistakes: truth, what was said, how often of how many."""
    found = [
        {"truth": facts["classes"][i], "said": facts["classes"][j], "count": count, "of": sum(row)}
        for i, row in enumerate(facts["confusion"])
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(found, key=lambda one: -int(one["count"]))[:_NAMED_CONFUSIONS]


def _picture(trained: Trained, mistake: Mapping[str, Any]) -> dict[str, Any]:
    """A sample as the network sees it, with what was said of it."""
    names = trained.facts["classes"]
    levels = (trained.inputs[mistake["index"]].astype(np.int16) + 128).astype(np.uint8)
    return {
        "uri": f"data:image/png;base64,{base64.b64encode(png(levels)).decode()}",
        "truth": names[mistake["label"]],
        "said": names[mistake["prediction"]],
        "float_said": names[mistake["float_prediction"]],
        "confidence": mistake["confidence"],
        "index": mistake["index"],
    }


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels (H, W, 1 or 3) as a PNG file (ISO/IEC 15948), the same bytes for the same pixels."""
    rows, columns, channels = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0 if channels == 1 else 2, 0, 0, 0)
    unfiltered = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels))
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(unfiltered, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
