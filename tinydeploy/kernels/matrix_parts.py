"""The functions of which matrix layers are made, each once for all layers that can share it: blocks and gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinydeploy.kernels.matrix_assembly import Block
from tinydeploy.kernels.matrix_gather import GatherForm, gather_lines
from tinydeploy.kernels.matrix_schedule import BlockForm


@dataclass(frozen=True, slots=True)
class Gather:
    """A gather and its instructions, None where it stays in C."""

    form: GatherForm
    lines: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Parts:
    """Functions by name, and for each layer and size of block the names of its two."""

    blocks: Mapping[str, Block]
    gathers: Mapping[str, Gather]
    layers: Sequence[Mapping[int, tuple[str, str]]]


def matrix_parts(shapes: Sequence[Mapping[str, Any]]) -> Parts:
    """The parts of the layers of one file; a layer that is not `interleaved` has blocks of its own, in C."""
    blocks: dict[Block, str] = {}
    gathers: dict[GatherForm, str] = {}
    layers = []
    for shape in shapes:
        layer = {}
        for pixels in shape["sizes"]:
            gather = gather_form(shape, pixels)
            names = [gathers.setdefault(gather, f"td_conv_s8_gather{len(gathers) + 1}")]
            if shape["interleaved"]:
                block = _block(shape, pixels)
                names.append(blocks.setdefault(block, f"td_conv_s8_block{len(blocks) + 1}"))
            else:
                names.append(f"{shape['function']}_block{pixels}")
            layer[pixels] = (names[0], names[1])
        layers.append(layer)
    return Parts(
        {name: block for block, name in blocks.items()},
        {name: Gather(form, gather_lines(form)) for form, name in gathers.items()},
        layers,
    )


def gather_form(shape: Mapping[str, Any], pixels: int) -> GatherForm:
    """Which bytes a block of `pixels` pixels reads."""
    columns = tuple(shape["column_bytes"] * column for column in shape[f"columns{pixels}"])
    return GatherForm(columns, shape["run_bytes"], shape["kernel_h"], shape["unroll_fours"])


def _block(shape: Mapping[str, Any], pixels: int) -> Block:
    form = BlockForm(
        pixels,
        shape["pairs"],
        shape["units"],
        len(shape[f"columns{pixels}"]),
        shape[f"slots{pixels}"],
        shape["late_bias"],
        shape["unroll_units"],
    )
    return Block(form, shape["out_c"], shape["requant"], shape["scale"], shape["shift"], shape["one_factor"])
