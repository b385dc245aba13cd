"""ShuffleNet V2's guidelines for efficient networks (Ma et al., 2018, arXiv:1807.11164, section 2), measured on a core.

    python -m benchmarks.guidelines [--core m4] [--size 16] [--json FILE]

Of each guideline, networks of equal multiply-accumulates (within 2 %) that differ in the one thing it speaks of, on
random weights; then ShuffleNet V2 against V1. Instructions are counted exactly on the virtual core, cycles are its
estimate, access is the paper's memory access cost in bytes: what every layer reads and writes, weights included.

The paper measured a GPU and a phone's core with caches. A microcontroller pays for other things: an input costs its
widening and an output its requantization, while a ReLU comes free with the convolution before it. Widths are even, in
each group too, since kernels compute channels in pairs.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.console import Group, RenderableType
from rich.text import Text

from benchmarks.measuring import count_model
from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES, VIRTUAL_CORES
from tinydeploy.files import write_if_changed
from tinydeploy.tables import print_report, table
from tinydeploy.untrained import untrained_graph
from tinydeploy.zoo import LayerSpec, ModelSpec, describe
from tinydeploy.zoo._network import Network

Layers = tuple[LayerSpec, ...]
_CLASSES = 10

STATEMENTS = {
    "G1": "Equal channel widths minimize memory access cost: pairs of 1x1 convolutions, input to output channels.",
    "G2": "Excessive group convolution increases memory access cost: 1x1 convolutions of wider layers in groups.",
    "G3": "Network fragmentation reduces the degree of parallelism: a 1x1 convolution in several smaller ones.",
    "G4": "Element-wise operations are non-negligible: a bottleneck with and without shortcut and ReLU.",
    "V2 against V1": "ShuffleNet V2, which follows the guidelines, against V1 of as many multiply-accumulates.",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One network of a guideline: nominal multiply-accumulates and memory access, and what one inference costs."""

    guideline: str
    name: str
    macs: int
    access_bytes: int
    instructions: int
    cycles: int


def networks(size: int) -> dict[str, dict[str, Layers]]:
    """For each guideline its networks on feature maps of `size` x `size` pixels, the one that it recommends first."""
    found: dict[str, dict[str, Layers]] = {
        "G1": {f"1:{n} ({a}, {b} channels)": _stack(size, a, _widths(b)) for n, a, b in _RATIOS},
        "G2": {f"{g} groups ({c} channels)": _stack(size, c, _grouped(c, g)) for g, c in _GROUPS},
        "G3": {"1 fragment": _stack(size, 68, _widths(68))},
        "G4": {},
    }
    for count, channels in ((2, 48), (4, 34)):
        found["G3"][f"{count} in series"] = _stack(size, channels, _series(channels, count))
        found["G3"][f"{count} in parallel, added"] = _stack(size, channels, _parallel(channels, count))
    for relu in (False, True):
        for shortcut in (False, True):
            parts = [word for word, there in (("ReLU", relu), ("shortcut", shortcut)) if there]
            found["G4"][" and ".join(parts) or "neither"] = _stack(size, 32, _bottleneck(32, relu, shortcut))
    found["V2 against V1"] = {
        "V2, alpha 0.483": describe(ModelSpec("shufflenet_v2", 0.483, 3 * size, 3, _CLASSES)),
        "V1, alpha 0.52, 3 groups": describe(ModelSpec("shufflenet_v1", 0.52, 3 * size, 3, _CLASSES, _THREE)),
        "V1, alpha 0.5, 8 groups": describe(ModelSpec("shufflenet_v1", 0.5, 3 * size, 3, _CLASSES, _EIGHT)),
    }
    return found


# Input to output channels, and groups, for equal products.
_RATIOS = ((1, 64, 64), (2, 46, 90), (6, 26, 158), (12, 18, 228))
_GROUPS = ((1, 56), (2, 80), (4, 112), (8, 160))
_THREE, _EIGHT = (("groups", "3"),), (("groups", "8"),)
_BLOCKS = 2

Block = Callable[[Network, str, LayerSpec], LayerSpec]


def _stack(size: int, channels: int, block: Block) -> Layers:
    """A cheap first layer that makes `channels` of one, some blocks, a classifier."""
    net = Network(ModelSpec("guideline", 1.0, size, 1, _CLASSES), "relu")
    x = net.conv("first", None, channels)
    for number in range(_BLOCKS):
        x = block(net, f"block_{number}", x)
    return net.classifier(x)


def _widths(wide: int) -> Block:
    """To `wide` channels and back."""

    def block(net: Network, name: str, x: LayerSpec) -> LayerSpec:
        return net.conv(f"{name}_b", net.conv(f"{name}_a", x, wide), x.output_shape[-1])

    return block


def _grouped(channels: int, groups: int) -> Block:
    def block(net: Network, name: str, x: LayerSpec) -> LayerSpec:
        return net.conv(f"{name}_b", net.conv(f"{name}_a", x, channels, groups=groups), channels, groups=groups)

    return block


def _series(channels: int, count: int) -> Block:
    """Of `count` convolutions for each of the two of one fragment."""

    def block(net: Network, name: str, x: LayerSpec) -> LayerSpec:
        for number in range(2 * count):
            x = net.conv(f"{name}_{number}", x, channels)
        return x

    return block


def _parallel(channels: int, count: int) -> Block:
    def block(net: Network, name: str, x: LayerSpec) -> LayerSpec:
        for part in "ab":
            sides = [net.conv(f"{name}_{part}{number}", x, channels) for number in range(count)]
            x = sides[0]
            for number, side in enumerate(sides[1:]):
                x = net.add(f"{name}_{part}_sum{number}", x, side)
        return x

    return block


def _bottleneck(channels: int, relu: bool, shortcut: bool) -> Block:
    """1x1 to a quarter of the channels, 3x3, 1x1 back."""

    def block(net: Network, name: str, source: LayerSpec) -> LayerSpec:
        act = "relu" if relu else "none"
        x = net.conv(f"{name}_reduce", source, channels // 4, activation=act)
        x = net.conv(f"{name}_3x3", x, channels // 4, (3, 3), activation=act)
        x = net.conv(f"{name}_expand", x, channels, activation="none" if shortcut else act)
        return net.add(f"{name}_add", source, x, activation=act) if shortcut else x

    return block


def measure(guideline: str, name: str, layers: Layers, core_name: str, folder: Path) -> Row:
    """Compile one network for a core and count one inference; all its channels are kept."""
    core = CORES[core_name]
    program = compile_graph(untrained_graph(layers, name), core, keep_constant_channels=True)
    counted = count_model(program, core, folder)
    macs, access = (sum(getattr(layer, what) for layer in layers) for what in ("macs", "access"))
    return Row(guideline, name, macs, access, counted.instructions, counted.cycles)


def report(rows: Sequence[Row], core_name: str) -> Group:
    """A table for each guideline; the last column compares cycles per multiply-accumulate with the first row."""
    parts: list[RenderableType] = []
    for guideline in dict.fromkeys(row.guideline for row in rows):
        shown = table((guideline,), ("MACs", "access B", "insn", "cycles", "cycles/MAC", ""))
        group = [row for row in rows if row.guideline == guideline]
        first = group[0].cycles / group[0].macs
        for row in group:
            figures = (f"{value:,}" for value in (row.macs, row.access_bytes, row.instructions, row.cycles))
            share = row.cycles / row.macs
            shown.add_row(row.name, *figures, f"{share:.2f}", f"{share / first:.2f}x")
        parts += [Text(STATEMENTS[guideline]), shown, ""]
    title = CORES[core_name].title
    note = f"On the virtual {title}, int8. insn: counted exactly; cycles: an estimate without wait states."
    return Group(*parts, Text(note))


@click.command()
@click.option("--core", "core_name", type=click.Choice(VIRTUAL_CORES), default="m4", show_default=True)
@click.option("--size", default=16, show_default=True, help="Height and width of the feature maps.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all rows as JSON.")
def main(core_name: str, size: int, json_file: Path | None) -> None:
    """Measure ShuffleNet V2's guidelines on the virtual board."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for guideline, group in networks(size).items():
            for number, (name, layers) in enumerate(group.items()):
                click.echo(f"{guideline}: {name}", err=True)
                rows.append(measure(guideline, name, layers, core_name, Path(folder) / f"{guideline}-{number}"))
    print_report(report(rows, core_name))
    if json_file:
        stored = [dataclasses.asdict(row) for row in rows]
        write_if_changed(json_file.resolve(), (json.dumps(stored, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
