"""Operators that only move elements: SLICE, STRIDED_SLICE, SPLIT, SPLIT_V, UNPACK and TRANSPOSE.

Each output is a walk through its input's elements with a fixed step per dimension, so one class stands for all of them.
An operator of several outputs is read as one walk for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.graph import Tensor
from tinydeploy.ops.base import Node, Op, Values
from tinydeploy.ops.reshape import Reshape

if TYPE_CHECKING:
    from tinydeploy.graph import Graph

# As many dimensions as TFLite Micro's kernels take.
_MOST_DIMENSIONS = 5
_MOST_STRIDED_DIMENSIONS = 4


@dataclass(frozen=True, slots=True)
class Walk:
    """Element numbers ``start + sum(i[d] * steps[d])`` in row-major order of ``i``, over `sizes`; no dimension is of
    size one, and none could be joined with the next."""

    start: int
    sizes: tuple[int, ...]
    steps: tuple[int, ...]

    def elements(self) -> IntArray:
        """The element numbers in order."""
        at = np.array([self.start], np.int64)
        for size, step in zip(self.sizes, self.steps, strict=True):
            at = np.add.outer(at, np.arange(size, dtype=np.int64) * step).reshape(-1)
        return at

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie one after the other."""
        return self.steps in ((), (1,))


def walk(start: int, sizes: Sequence[int], steps: Sequence[int]) -> Walk:
    """The walk in its simplest form."""
    joined: list[tuple[int, int]] = []
    for size, step in zip(sizes, steps, strict=True):
        if size == 1:
            continue
        if joined and joined[-1][1] == size * step:
            joined[-1] = (joined[-1][0] * size, step)
        else:
            joined.append((size, step))
    return Walk(start, tuple(size for size, _ in joined), tuple(step for _, step in joined))


@dataclass(frozen=True, slots=True, eq=False)
class Move(Op):
    """The input's elements in the order of `walk`."""

    walk: Walk
    kind: str

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """Take the elements one by one."""
        return values[self.inputs[0]].reshape(-1)[self.walk.elements()].reshape(graph.tensors[self.output].shape)


def read_slice(node: Node) -> Op:
    """Read and check one SLICE."""
    node.arity(3, 3)
    source = _source(node, 0, _MOST_DIMENSIONS)
    rank = len(source.shape)
    begins, sizes = _numbers(node, 1, rank, ("int32", "int64")), _numbers(node, 2, rank, ("int32", "int64"))
    sizes = [
        total - begin if size == -1 else size for total, begin, size in zip(source.shape, begins, sizes, strict=True)
    ]
    for total, begin, size in zip(source.shape, begins, sizes, strict=True):
        if begin < 0 or size < 1 or begin + size > total:
            node.fail(f"begins {begins} and sizes {sizes} leave the shape {source.shape}")
    return _part(node, source, begins, sizes, [1] * rank)


def read_strided_slice(node: Node) -> Op:
    """Read and check one STRIDED_SLICE."""
    node.arity(4, 4)
    source = _source(node, 0, _MOST_STRIDED_DIMENSIONS)
    rank = len(source.shape)
    begins, ends, strides = (_numbers(node, position, rank, ("int32",)) for position in (1, 2, 3))
    begin_mask, end_mask, shrink_mask = (node.option(slot, "i") for slot in (0, 1, 4))
    if node.option(2, "i") or node.option(3, "i") or node.option(5, "b"):
        node.unsupported("it has an ellipsis, a new axis or ends that are offsets, which TFLite Micro does not see")
    sizes, kept = [], []
    for axis, (total, stride) in enumerate(zip(source.shape, strides, strict=True)):
        shrinks = bool(shrink_mask >> axis & 1)
        if stride == 0 or (shrinks and stride < 0):
            node.fail(f"stride {stride} along axis {axis} does not fit")
        low, high = (0, total) if stride > 0 else (-1, total - 1)
        begin, end = (np.clip(at + total if at < 0 else at, low, high) for at in (begins[axis], ends[axis]))
        if begin_mask >> axis & 1:
            begin = low if stride > 0 else high
        if end_mask >> axis & 1:
            end = high if stride > 0 else low
        if shrinks:
            end = begin + 1
        begins[axis] = int(begin)
        sizes.append(len(range(int(begin), int(end), stride)))
        if sizes[-1] < 1 or not 0 <= begins[axis] < total:
            node.fail(f"it takes nothing of {total} along axis {axis}")
        if not shrinks:
            kept.append(sizes[-1])
    return _part(node, source, begins, sizes, strides, tuple(kept))


def read_split(node: Node) -> tuple[Op, ...]:
    """Read and check one SPLIT or SPLIT_V: a slice for each output."""
    lengths = None
    if node.kind == "SPLIT":
        at, axis_at, count = 1, 0, 2
    else:
        at, axis_at, count = 0, 2, 3
        lengths = _numbers(node, 1, len(node.outputs), ("int32", "int64")) if len(node.inputs) == count else None
    if len(node.inputs) != count or not node.outputs:
        node.fail(f"{len(node.inputs)} inputs and {len(node.outputs)} outputs do not fit this operator")
    source = _source(node, at, _MOST_DIMENSIONS)
    axis = _axis(node, axis_at, len(source.shape))
    if any(len(output.shape) != len(source.shape) for output in node.outputs):
        node.fail(f"its outputs do not have the {len(source.shape)} dimensions of its input")
    found = [output.shape[axis] for output in node.outputs]
    if sum(found) != source.shape[axis] or (node.kind == "SPLIT" and len(set(found)) > 1):
        node.fail(f"parts {found} do not make up {source.shape[axis]}")
    # A length of -1 stands for what is left.
    if lengths is not None and any(size not in (-1, have) for size, have in zip(lengths, found, strict=True)):
        node.fail(f"parts {lengths} do not fit outputs of {found}")
    return _parts(node, source, axis, found, kept=True)


def read_unpack(node: Node) -> tuple[Op, ...]:
    """Read and check one UNPACK: a slice for each output."""
    if len(node.inputs) != 1:
        node.fail(f"{len(node.inputs)} inputs do not fit this operator")
    source = _source(node, 0, _MOST_DIMENSIONS)
    rank = len(source.shape)
    axis = node.option(1, "i")
    if not -rank <= axis < rank or source.shape[axis] != len(node.outputs):
        node.fail(f"{len(node.outputs)} outputs do not fit axis {axis} of {source.shape}")
    return _parts(node, source, axis % rank, [1] * len(node.outputs), kept=False)


def read_transpose(node: Node) -> Op:
    """Read and check one TRANSPOSE."""
    node.arity(2, 2)
    source, output = _source(node, 0, _MOST_DIMENSIONS), node.output
    rank = len(source.shape)
    order = _numbers(node, 1, rank, ("int32",))
    if sorted(order) != list(range(rank)):
        node.fail(f"{order} is not an order of {rank} dimensions")
    if output.shape != tuple(source.shape[axis] for axis in order):
        node.fail(f"{source.shape} in the order {order} is not {output.shape}")
    steps = _steps(source.shape)
    return _move(node, source, walk(0, output.shape, [steps[axis] for axis in order]))


def _parts(node: Node, source: Tensor, axis: int, lengths: list[int], *, kept: bool) -> tuple[Op, ...]:
    """One slice for each output, one after the other along `axis`, which stays where `kept`."""
    ops, begin = [], 0
    for number, (output, length) in enumerate(zip(node.outputs, lengths, strict=True)):
        begins, sizes = [0] * len(source.shape), list(source.shape)
        begins[axis], sizes[axis] = begin, length
        shape = (*source.shape[:axis], *([length] if kept else []), *source.shape[axis + 1 :])
        one = replace(node, outputs=(output,))
        op = _part(one, source, begins, sizes, [1] * len(sizes), shape)
        ops.append(replace(op, name=f"{op.name}:{number}"))
        begin += length
    return tuple(ops)


def _part(
    node: Node,
    source: Tensor,
    begins: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int],
    shape: tuple[int, ...] | None = None,
) -> Op:
    """A box of the input, every so many elements of it; `shape` is what the output must have, `sizes` if not given."""
    expected = tuple(sizes) if shape is None else shape
    if node.output.shape != expected:
        node.fail(f"the output is {node.output.shape}, its slice of {source.shape} gives {expected}")
    steps = _steps(source.shape)
    start = sum(begin * step for begin, step in zip(begins, steps, strict=True))
    return _move(node, source, walk(start, sizes, [a * b for a, b in zip(strides, steps, strict=True)]))


def _move(node: Node, source: Tensor, found: Walk) -> Op:
    """The operator of one output; a RESHAPE in all but name where nothing moves."""
    node.per_tensor_int8(node.output)
    if found.contiguous and source.elements == node.output.elements:
        return Reshape(node.name, node.index, (source.index,), node.output.index, node.kind)
    return Move(node.name, node.index, (source.index,), node.output.index, found, node.kind)


def _source(node: Node, position: int, most: int) -> Tensor:
    source = node.activation(position)
    node.per_tensor_int8(source)
    if not 1 <= len(source.shape) <= most:
        node.unsupported(f"its input has {len(source.shape)} dimensions, not 1 to {most}")
    return source


def _numbers(node: Node, position: int, count: int, dtypes: tuple[str, ...]) -> list[int]:
    tensor = node.constant(position)
    if tensor.dtype not in dtypes or tensor.data is None or tensor.elements != count:
        node.fail(f"input {position} ({tensor.name}) is not {count} numbers of {' or '.join(dtypes)}")
    return [int(number) for number in tensor.data.reshape(-1)]


def _axis(node: Node, position: int, rank: int) -> int:
    (axis,) = _numbers(node, position, 1, ("int32",))
    if not -rank <= axis < rank:
        node.fail(f"axis {axis} does not fit {rank} dimensions")
    return axis % rank


def _steps(shape: tuple[int, ...]) -> list[int]:
    steps = [1]
    for size in reversed(shape[1:]):
        steps.append(steps[-1] * size)
    return steps[::-1]
