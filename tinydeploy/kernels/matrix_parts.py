"""The functions of which matrix layers are made, each once for all layers that can share it: blocks and gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinydeploy.kernels.base import out_pitch
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
class Use:
    """The functions for one size of a layer's blocks, and how far apart two blocks are in bytes."""

    gather: str
    block: str
    run_step: int
    output_step: int


@dataclass(frozen=True, slots=True)
class Parts:
    """Functions by name, what each layer uses of them by its blocks' pixels, and whether any layer's windows move over
    rows."""

    blocks: Mapping[str, BlockPart]
    gathers: Mapping[str, Gather]
    layers: Sequence[Mapping[int, Use]]
    rows: bool


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
                name = blocks.setdefault(block_of(shape, pixels), f"td_conv_s8_block{len(blocks) + 1}")
            else:
                name = f"{shape['function']}_block{pixels}"
            layer[pixels] = Use(gather, name, *_steps(shape, pixels))
        layers.append(layer)
    # Only blocks in assembly allow a gather every register.
    found = {name: Gather(form, gather_lines(form) if called else None) for (form, called), name in gathers.items()}
    made = {}
    for block, name in blocks.items():
        gather = gathers[block.gather, True]
        made[name] = BlockPart(block, gather, block.lines(gather, gather_in_c=found[gather].lines is None))
    return Parts(made, found, layers, any(not shape["pointwise"] for shape in shapes))


def gather_form(shape: Mapping[str, Any], pixels: int) -> GatherForm:
    """Which bytes a block of `pixels` pixels reads."""
    columns = tuple(shape["column_bytes"] * column for column in shape[f"columns{pixels}"])
    held = shape[f"held{pixels}"] == shape["units"]
    return GatherForm(columns, shape["run_bytes"], shape["kernel_h"], shape["unroll_fours"], held)


def block_of(shape: Mapping[str, Any], pixels: int) -> Block:
    """The block of `pixels` pixels of a layer whose blocks are in assembly."""
    form = BlockForm(
        pixels,
        shape["pairs"],
        shape["units"],
        len(shape[f"columns{pixels}"]),
        shape[f"slots{pixels}"],
        shape["wide"],
        shape["late_bias"],
        shape[f"straight{pixels}"],
        shape[f"unroll{pixels}"],
        shape[f"held{pixels}"],
        shape["single"],
    )
    run_step, output_step = _steps(shape, pixels)
    return Block(
        gather_form(shape, pixels),
        form,
        out_pitch(shape),
        shape["out_c"] // shape["groups"],
        shape["requant"],
        shape["shift"],
        shape["offset"],
        shape["one_factor"],
        run_step,
        output_step,
        shape[f"repeats{pixels}"],
    )


def blocks_of(shape: Mapping[str, Any]) -> tuple[Block, ...]:
    """The blocks of a layer in assembly, one of every size."""
    return tuple(block_of(shape, pixels) for pixels in shape["sizes"])


def _steps(shape: Mapping[str, Any], pixels: int) -> tuple[int, int]:
    """From block to block, in bytes of input and output: downwards where pixels grow, nothing where there is one."""
    if shape["pointwise"] and shape["counts"][4 - pixels] == 1:
        return 0, 0
    sign = -1 if shape["pointwise"] and shape["out_c"] > shape["in_c"] else 1
    return sign * pixels * shape["step_bytes"], sign * pixels * out_pitch(shape)
