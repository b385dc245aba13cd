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
        distortions=_distortions(facts["recipe"]["augmentation"]),
        pictures=[_picture(trained, mistake) for mistake in facts["worst"]],
        least_db=min(noises, default=None),
        most_db=max([1.0, *noises]),
    )


def _distortions(augmentation: Mapping[str, Any]) -> list[str]:
    """What was done to training images, each in words."""
    said = {
        "shift": "shifted by up to {percent:g} % of the width",
        "rotation": "turned by up to {value:g} degrees",
        "zoom": "scaled by up to {percent:g} %",
        "flip": "every other one mirrored",
        "cutout": "a square of {percent:g} % of the width hidden",
        "mixup": "blended in pairs (mixup {value:g})",
    }
    return [
        text.format(value=float(augmentation[name]), percent=100 * augmentation[name])
        for name, text in said.items()
        if augmentation[name]
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _margin(share: float, samples: int) -> float:
    """Half the width of the 95 % interval (Wilson's) of an accuracy measured on so many samples."""
    z = 1.96
    return z / (1 + z * z / samples) * math.sqrt(share * (1 - share) / samples + z * z / (4 * samples * samples))


def _charts(facts: Mapping[str, Any]) -> list[Chart]:
    epochs = [*facts["history"], *facts["tuning"]]
    before = len(facts["history"]) if facts["tuning"] else None
    losses, qualities = ([one[name] for one in epochs] for name in ("loss", "validation_accuracy"))
    quality = "Accuracy on the validation samples"
    if facts["auc"] is not None:
        quality = (
            "Share of the normal validation samples' variance that comes again (below 0: less than their mean says)"
        )
    return [
        _chart("Loss on the training samples", losses, before, percent=False),
        _chart(quality, qualities, before, percent=True),
    ]


def _chart(title: str, values: Sequence[float], before: int | None, *, percent: bool) -> Chart:
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    levels, digits = _ticks(min(finite) if percent else 0.0, max(finite), percent=percent)
    low, high = levels[0], levels[-1]
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(epoch: float) -> float:
        return round(_LEFT + (right - _LEFT) * (epoch / max(1, len(values) - 1)), 1)

    def y(value: float) -> float:
        inside = min(max(value, low), high) if math.isfinite(value) else high
        return round(bottom - (bottom - _TOP) * (inside - low) / (high - low), 1)

    def label(value: float) -> str:
        return f"{100 * value:.{digits}f} %" if percent else f"{value:.{digits}f}"

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


def _ticks(low: float, high: float, *, percent: bool) -> tuple[list[float], int]:
    """Round values from below `low` to above `high`, one, two or five units apart, and the digits that they need."""
    least = max((high - low) / _TICKS, 1e-3)
    unit = 10.0 ** math.floor(math.log10(least))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= least * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step * (100 if percent else 1)) + 1e-9))
    return [step * number for number in range(first, max(last, first + 1) + 1)], digits


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
    rows, columns = (trained.facts["preprocess"][side] for side in ("input_size", "input_width"))
    levels = (trained.inputs[mistake["index"]].astype(np.int16) + 128).astype(np.uint8).reshape(rows, columns, -1)
    away = math.exp(mistake["confidence"] if mistake["prediction"] else -mistake["confidence"])
    return {
        # A vector of features is no picture.
        "uri": f"data:image/png;base64,{base64.b64encode(png(levels)).decode()}" if min(rows, columns) > 1 else None,
        "truth": names[mistake["label"]],
        "said": names[mistake["prediction"]],
        "float_said": names[mistake["float_prediction"]],
        "sure": f"{100 * mistake['confidence']:.0f} %" if trained.classifies else f"{away:.2g} times the limit",
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
