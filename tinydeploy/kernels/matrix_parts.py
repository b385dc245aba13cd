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
class BlockPart:
    """A block, the function that gathers for it, and its instructions."""

    block: Block
    gather: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """Functions by name, and for each layer and size of block the names of its gather and its block."""

    blocks: Mapping[str, BlockPart]
    gathers: Mapping[str, Gather]
    layers: Sequence[Mapping[int, tuple[str, str]]]


def matrix_parts(shapes: Sequence[Mapping[str, Any]]) -> Parts:
    """The parts of the layers of one file; a layer that is not `interleaved` has blocks of its own, in C."""
    blocks: dict[Block, str] = {}
    gathers: dict[tuple[GatherForm, bool], str] = {}
    layers = []
    for shape in shapes:
        layer = {}
        for pixels in shape["sizes"]:
            form = gather_form(shape, pixels)
            gather = gathers.setdefault((form, shape["interleaved"]), f"td_conv_s8_gather{len(gathers) + 1}")
            if shape["interleaved"]:
                name = blocks.setdefault(_block(shape, pixels), f"td_conv_s8_block{len(blocks) + 1}")
            else:
                name = f"{shape['function']}_block{pixels}"
            layer[pixels] = (gather, name)
        layers.append(layer)
    made = {
        name: BlockPart(block, gathers[block.gather, True], block.lines(gathers[block.gather, True]))
        for block, name in blocks.items()
    }
    # Only blocks in assembly allow a gather every register.
    found = {name: Gather(form, gather_lines(form) if called else None) for (form, called), name in gathers.items()}
    return Parts(made, found, layers)


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
        shape["wide"],
        shape["late_bias"],
        shape["straight_units"],
        shape["unroll_units"],
    )
    out_c, run_step = shape["out_c"], pixels * shape["step_bytes"]
    down = shape["pointwise"] and out_c > shape["in_c"]
    alone = shape["pointwise"] and shape["counts"][3 - pixels] == 1
    return Block(
        gather_form(shape, pixels),
        form,
        out_c,
        shape["requant"],
        shape["scale"],
        shape["shift"],
        shape["offset"],
        shape["one_factor"],
        0 if alone else -run_step if down else run_step,
        0 if alone else -(pixels + 1) * out_c if down else (pixels - 1) * out_c,
    )
