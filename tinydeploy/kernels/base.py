"""What a kernel is to the compiler: a C template, the shape it is specialised to, its constants and its scratch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray, wrap_int32
from tinydeploy.graph import Graph
from tinydeploy.ops.base import Requant, Window

if TYPE_CHECKING:
    from tinydeploy.kernels.striped import Stripes

ALIGNMENT = 8
"""Of every buffer in the arena, in bytes."""

Shape = Mapping[str, int | str | bool | tuple[int, ...]]


def aligned(size_bytes: int) -> int:
    """A size up to where the next buffer may begin."""
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """An array in the order in which a kernel reads it; a 2-D array of a struct type has a row per item."""

    suffix: str
    ctype: str
    values: NDArray[Any]

    @property
    def size_bytes(self) -> int:
        """Bytes in flash."""
        widths = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "int32_t": 4, "float": 4}
        return int(self.values.size) * widths.get(self.ctype, 4)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Where an output may lie over its dying input, because the kernel has read what it overwrites.

    Ascending, the output starts at least `gap_bytes` before the input (a negative gap: at most that far after it);
    descending, at least `gap_bytes` after it. The distance is a multiple of `multiple`.
    """

    gap_bytes: int
    descending: bool = False
    multiple: int = 1

    def permits(self, input_offset: int, output_offset: int) -> bool:
        """Whether these two starts are far enough apart."""
        distance = output_offset - input_offset if self.descending else input_offset - output_offset
        return distance >= self.gap_bytes and distance % self.multiple == 0


Residence = Literal["flash", "arena", "ram"]


@dataclass(frozen=True, slots=True)
class ConstantsPlace:
    """Where a step reads its constants: in flash, in a copy that it makes in the arena first, `offset_bytes` from its
    start, or in a copy in `memory` that start-up makes. `cycles`: what each place that was open would cost an
    inference, predicted, in waiting for memory and copying; a place is open where there is room."""

    residence: Residence
    cycles: Mapping[Residence, int]
    offset_bytes: int = 0
    memory: str = ""


@dataclass(frozen=True, slots=True)
class KernelForm:
    """Which of a kernel's forms was taken, by name, and what each would cost an inference, in predicted cycles, and in
    bytes of code, at most; they give the same results."""

    name: str
    cycles: Mapping[str, int]
    code_bytes: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Implementation:
    """One operator's way to run: `template` names a file of firmware_templates/kernels.

    Operators with equal `template` and `shape` share one C function. `label` makes its name readable. `in_place` says
    that the output may take the first input's place, byte for byte, `overlap` that it may lie over it in other ways;
    `scratch_bytes` is working memory from the arena. With `stripes` it is no single kernel but a chain of them.
    `sweeps`: how often one call reads all of its constants. `place`: where it reads them, and `form`: which form of the
    kernel it is; None where there was no choice.
    """

    template: str
    label: str
    shape: Shape
    constants: tuple[Constant, ...] = field(default=())
    scratch_bytes: int = 0
    in_place: bool = False
    overlap: Overlap | None = None
    stripes: Stripes | None = None
    sweeps: int = 1
    place: ConstantsPlace | None = None
    form: KernelForm | None = None

    @property
    def constants_bytes(self) -> int:
        """Bytes of constants, each where a buffer may begin."""
        return sum(aligned(constant.size_bytes) for constant in self.constants)

    @property
    def kernels(self) -> tuple[Implementation, ...]:
        """The kernels that it calls: itself, or those of its stripes."""
        return self.stripes.kernels if self.stripes is not None else (self,)

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for operators that can share one function."""
        return (self.template, *sorted(self.shape.items()))


def channel_table(bias: IntArray, requant: Requant) -> Constant:
    """Bias, mantissa and shift of every output channel, as the C struct td_channel."""
    return Constant("channels", "td_channel", np.stack([wrap_int32(bias), requant.mantissa, requant.shift], axis=1))


def requant_shape(requant: Requant) -> dict[str, int]:
    """The scalars of a requantization."""
    return {"zero_point": requant.zero_point, "act_min": requant.act_min, "act_max": requant.act_max}


def window_shape(graph: Graph, source: int, output: int, window: Window) -> dict[str, int | bool]:
    """Sizes of a window operator; `padded` says whether any window leaves the input."""
    _, in_h, in_w, in_c = graph.tensors[source].shape
    _, out_h, out_w, out_c = graph.tensors[output].shape
    (kernel_h, kernel_w), (stride_h, stride_w) = window.kernel, window.stride
    (dilation_h, dilation_w), (pad_h, pad_w) = window.dilation, window.pad
    return {
        "in_h": in_h,
        "in_w": in_w,
        "in_c": in_c,
        "out_h": out_h,
        "out_w": out_w,
        "out_c": out_c,
        "kernel_h": kernel_h,
        "kernel_w": kernel_w,
        "stride_h": stride_h,
        "stride_w": stride_w,
        "dilation_h": dilation_h,
        "dilation_w": dilation_w,
        "pad_h": pad_h,
        "pad_w": pad_w,
        "padded": window.leaves(graph.tensors[source].shape, graph.tensors[output].shape),
    }


def integer(shape: Shape, name: str) -> int:
    """A size of a shape; 1, which changes no product, where it has none of this name."""
    value = shape.get(name, 1)
    assert isinstance(value, int), f"{name}={value!r}"
    return value


def integers(shape: Shape, name: str) -> tuple[int, ...]:
    """Sizes that a shape keeps together."""
    value = shape[name]
    assert isinstance(value, tuple), f"{name}={value!r}"
    return value


def out_pitch(shape: Mapping[str, Any]) -> int:
    """Channels from an output pixel to the next: its own, or those of the tensor that it is a part of."""
    return int(shape.get("out_pitch", shape["out_c"]))


def plus(value: int) -> str:
    """C text that adds a constant: " + 3", " - 3", or nothing for zero."""
    return f" + {value}" if value > 0 else f" - {-value}" if value < 0 else ""
