"""What build prints: accuracy before and after quantization, and sizes by section and by layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinydeploy.build import Build
from tinydeploy.constants_report import constants_report
from tinydeploy.latency import by_constants_that_ship
from tinydeploy.placement import place
from tinydeploy.tables import table


def build_json(build: Build) -> str:
    """The manifest, the sizes and the folder, for programs."""
    image = build.image
    return (
        json.dumps(
            {
                **build.manifest,
                "cycle_model": by_constants_that_ship(build.board.part),
                "folder": str(build.folder),
                "elf": str(image.elf),
                "fresh": build.fresh,
                "flash_bytes": image.model_flash_bytes,
                "firmware_flash_bytes": image.flash_bytes,
                "firmware_ram_bytes": image.ram_bytes,
                "sections": {section.name: section.size_bytes for section in image.sections},
                "layer_flash_bytes": _layer_flash(build),
            },
            indent=2,
        )
        + "\n"
    )


def build_report(build: Build) -> RenderableType:
    """The tables, and what to type next."""
    parts: list[RenderableType] = []
    training = build.manifest.get("training")
    if training:
        parts += [_accuracy(training), ""]
    done = "up to date, nothing to do" if build.fresh else "built"
    end = f"{build.folder} is {done}; next: tinydeploy bench, tinydeploy verify, or make flash in that folder"
    chosen = constants_report(build.manifest.get("constants", []), by_constants_that_ship(build.board.part))
    return Group(
        *parts,
        _layers(build),
        *macs_notes(build.manifest),
        "",
        _sizes(build),
        *chosen,
        "",
        _placement(build),
        "",
        Text(end),
    )


def macs_notes(manifest: Mapping[str, Any]) -> list[RenderableType]:
    """Why the layers' MACs are not the model's, if they are not: what constant channels spare, which says more of the
    network than of the compiler, and what kernels for pairs of channels add."""
    nominal, needed, computed = (manifest[name] for name in ("macs", "needed_macs", "computed_macs"))
    notes = []
    if needed != nominal:
        notes.append(
            f"{nominal - needed:,} of the model's {nominal:,} MACs are spared: their channels hold one value whatever "
            "the input (--keep-constant-channels computes them too)"
        )
    if computed != needed:
        notes.append(
            f"{computed - needed:,} MACs are added: the core computes channels in pairs, so odd ones have a second"
        )
    return ["", *map(Text, notes)] if notes else []


def _accuracy(training: Mapping[str, Any]) -> RenderableType:
    train, validation, _ = training["split_sizes"]
    lines = [
        f"accuracy  float {100 * training['float_accuracy']:.2f} %, int8 {100 * training['int8_accuracy']:.2f} % on "
        f"{training['evaluated']:,} test images never seen in training ({train:,} trained on, {validation:,} watched)"
    ]
    if training["auc"] is not None:
        lines[0] = (
            f"AUC       float {training['auc']['float']:.4f}, int8 {training['auc']['int8']:.4f} on "
            f"{training['evaluated']:,} test samples, normal and anomalous ({train:,} normal ones trained on)"
        )
    calibrated = training["calibrated_accuracy"]
    if calibrated is not None:
        lines.append(f"          int8 by calibration alone would give {100 * calibrated:.2f} %")
    partings = training["partings"]
    if partings:
        shown = ", ".join(
            f"{training['classes'][p['label']]} as {training['classes'][p['float_prediction']]} / "
            f"{training['classes'][p['int8_prediction']]}"
            for p in partings[:4]
        )
        more = f" and {len(partings) - 4} more" if len(partings) > 4 else ""
        lines.append(f"          float and int8 part on {len(partings)} (truth as float / int8): {shown}{more}")
    lines += [f"warning   {warning}" for warning in training["warnings"]]
    lines.append("report    report.html in the project folder: curves, confusions, float against int8, worst mistakes")
    return Text("\n".join(lines))


def _layer_flash(build: Build) -> dict[str, int]:
    """Bytes of constants and code by step; what steps share counts with the first."""
    result: dict[str, int] = {}
    counted: set[str] = set()
    symbols = [symbol for symbol in build.image.symbols if symbol.section.startswith(".model")]
    for step in build.manifest["steps"]:
        names = {step["symbol"], f"{step['symbol']}_stripe", *step["kernels"], *step["arrays"]}
        parts = tuple(f"{kernel}_{part}" for kernel in step["kernels"] for part in ("block", "gather", "channel"))
        mine = [symbol for symbol in symbols if symbol.name in names or symbol.name.startswith(parts)]
        result[step["symbol"]] = sum(symbol.size_bytes for symbol in mine if symbol.name not in counted)
        counted |= {symbol.name for symbol in mine}
    return result


def _sizes(build: Build) -> Table:
    image, board = build.image, build.board
    sizes = table(("memory",), ("used", "of", ""))
    sizes.add_column("by section")
    for memory, used, size in (
        ("flash", image.flash_bytes, board.flash.size_bytes),
        ("RAM", image.ram_bytes, board.ram.size_bytes),
    ):
        kinds = ("flash", "both") if memory == "flash" else ("ram", "both")
        sections = ", ".join(f"{s.name} {s.size_bytes:,}" for s in image.sections if s.memory in kinds)
        sizes.add_row(memory, f"{used:,} B", f"{size:,} B", f"{100 * used / size:.1f} %", sections)
    return sizes


def _placement(build: Build) -> Text:
    """Which memories arena and weights went to, and why not the preferred ones."""
    sizes = {key: build.manifest.get(key, 0) for key in ("arena_bytes", "constants_bytes", "copied_bytes")}
    placement = place(build.board, **sizes, copied_to=build.manifest.get("copied_to"))
    return Text("placement  " + "\n           ".join(placement.reasons))


def _layers(build: Build) -> Table:
    flash = _layer_flash(build)
    layers = table(("layer", "op", "output"), ("MACs", "flash B", "output B"))
    for step in build.manifest["steps"]:
        output = step["outputs"][0]
        layers.add_row(
            step["name"],
            step["op"],
            "x".join(str(size) for size in output["shape"][1:]),
            f"{step['macs']:,}",
            f"{flash[step['symbol']]:,}",
            f"{output['size_bytes']:,}",
        )
    layers.add_section()
    layers.add_row(
        "model in all",
        "",
        "",
        f"{build.manifest['computed_macs']:,}",
        f"{build.image.model_flash_bytes:,}",
        f"{build.manifest['arena_bytes']:,} arena",
    )
    return layers
