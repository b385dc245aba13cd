"""Single kernels on a bare core, every buffer alone between unmapped pages.

The arena hides what a kernel touches beyond its own buffers. Here input, output, scratch and every constant array have
pages of their own, ending with the last byte of a page or beginning with the first, and inputs and constants cannot be
written. Arrays are aligned as their elements: stripes of rows begin anywhere. Scratch is aligned to 4; the bytes that
this leaves after an odd size are compared afterwards. What stands inside a wider tensor has garbage between its pixels,
from its first byte to its last, which must stay. (Unicorn's memory hooks would look at every access, but they
break the IT state of code that loads inside an IT block.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from support.compiled import Unit, build_core, unit_of
from tinydeploy.calls import Names, kernels, name_all
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.cores import Core
from tinydeploy.errors import TinydeployError
from tinydeploy.kernels.base import Constant, Implementation
from tinydeploy.ops.base import Op
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model

Edge = Literal["end", "start"]
_NUMBERS = {"int8_t": "<i1", "uint8_t": "<u1", "int16_t": "<i2", "uint16_t": "<u2", "float": "<f4"}
_GARBAGE = b"\xa5"


@dataclass(frozen=True, slots=True, eq=False)
class Guarded:
    """A model whose kernels are called one by one, with the input that they get."""

    id: str
    program: Program
    input: NDArray[Any]

    def unit(self) -> Unit:
        """Its C files."""
        return unit_of(self.program, self.id)


def guarded(identity: str, model: bytes, core: Core, values: NDArray[Any]) -> Guarded:
    """`model` compiled for `core`."""
    return Guarded(identity, compile_graph(read_model(model, identity), core), values)


def run_guarded(models: Sequence[Guarded], core: Core, folder: Path, against: Edge) -> list[str]:
    """Call every kernel of `models` with its buffers against an edge; what went wrong, a sentence each."""
    from tinydeploy.virtual.bare import BareCore  # the virtual board is an extra

    elf = build_core([model.unit() for model in models], core, folder).elf
    bare = BareCore(core, elf)
    wrong = []
    for number, model in enumerate(models):
        names = name_all(model.program)
        values = run_graph(model.program.graph, model.input)
        pitches = model.program.plan.pitches
        for _, op, kernel in kernels(model.program):
            there = {tensor: _in_place(values[tensor], pitches.get(tensor)) for tensor in (*op.inputs, op.output)}
            fault = _call(bare, f"u{number}_", names, op, kernel, there, against)
            if fault:
                wrong.append(f"{model.id}, {kernel.template} on {core.name}, buffers against their {against}: {fault}")
    return wrong


def _call(
    bare: Any,
    prefix: str,
    names: Names,
    op: Op,
    kernel: Implementation,
    values: Mapping[int, NDArray[Any]],
    against: Edge,
) -> str | None:
    """One kernel call; what is wrong with it, or None."""

    def place(data: bytes, alignment: int, *, writable: bool) -> int:
        return int(bare.allocate(data, against=against, alignment=alignment, writable=writable))

    expected = values[op.output]
    inputs = [place(values[t].tobytes(), values[t].itemsize, writable=False) for t in op.inputs]
    output = place(_GARBAGE * expected.nbytes, expected.itemsize, writable=True)
    stored = [_stored(constant) for constant in kernel.constants]
    constants = [place(array.tobytes(), array.itemsize, writable=False) for array in stored]
    side = kernel.shape.get("constant_side", -1)
    if side in (0, 1):
        inputs.insert(int(side), constants.pop(0))
    spare = -kernel.scratch_bytes % 4
    scratch = [place(_GARBAGE * (kernel.scratch_bytes + spare), 4, writable=True)] if kernel.scratch_bytes else []
    try:
        bare.call(prefix + names.functions[kernel.key], *inputs, output, *constants, *scratch)
    except TinydeployError as error:
        return str(error)
    if scratch and bare.read(scratch[0] + kernel.scratch_bytes, spare) != _GARBAGE * spare:
        return "writes past its scratch"
    got = np.frombuffer(bare.read(output, expected.nbytes), np.uint8)
    different = np.flatnonzero(got != expected.reshape(-1).view(np.uint8))
    return f"{len(different)} of {got.size} bytes are wrong, first at {different[0]}" if different.size else None


def _in_place(values: NDArray[Any], pitch: int | None) -> NDArray[Any]:
    """Values (..., C) in the order of memory, with garbage between pixels that are `pitch` > C values apart."""
    if pitch is None:
        return np.ascontiguousarray(values)
    depth = values.shape[-1]
    pixels = np.full((values.size // depth, pitch), np.frombuffer(_GARBAGE, values.dtype)[0])
    pixels[:, :depth] = values.reshape(-1, depth)
    return np.ascontiguousarray(pixels.reshape(-1)[: pixels.size - (pitch - depth)])


def _stored(constant: Constant) -> NDArray[Any]:
    """An array as the compiler stores it; structs are rows of 32-bit words."""
    array = np.ascontiguousarray(constant.values).astype(np.dtype(_NUMBERS.get(constant.ctype, "<i4")))
    assert array.nbytes == constant.size_bytes, constant.ctype
    return array
