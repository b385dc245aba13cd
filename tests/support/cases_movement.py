"""Tables of cases for operators that move elements."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from support import net_ops as more
from support.case import Build, Case
from support.net import Net


def movement_cases() -> Iterator[Case]:
    """PAD, RESHAPE and its like, slices, transpositions, concatenations, RESIZE_NEAREST_NEIGHBOR."""
    yield from _pad_and_reshape_cases()
    yield from _slice_cases()
    yield from _split_cases()
    yield from _transpose_cases()
    yield from _concatenation_cases()
    yield from _resize_cases()


def _of(shape: tuple[int, ...], build: Callable[..., Any], *arguments: Any, **options: Any) -> Build:
    """`build` on an input of this shape, batch included."""
    return lambda net: build(net, net.input(shape), *arguments, **options)


def _one_of(shape: tuple[int, ...], at: int, build: Callable[..., Sequence[int]], *arguments: Any) -> Build:
    """Output `at` of `build` on an input of this shape."""
    return lambda net: build(net, net.input(shape), *arguments)[at]


def _pad_and_reshape_cases() -> Iterator[Case]:
    def pad(shape: tuple[int, ...], *pairs: tuple[int, int], zero_point: int = 5) -> Build:
        return lambda net: net.pad(net.input((1, *shape), zero_point=zero_point), ((0, 0), *pairs))

    def reshape(shape: tuple[int, ...], new: tuple[int, ...], with_tensor: bool) -> Build:
        return lambda net: net.reshape(net.input((1, *shape)), new, with_tensor)

    yield Case("pad", "symmetric", pad((4, 5, 3), (1, 1), (1, 1), (0, 0)))
    yield Case("pad", "before-stride-2", pad((4, 5, 3), (0, 1), (0, 1), (0, 0), zero_point=-128))
    yield Case("pad", "channels", pad((3, 2, 3), (0, 0), (0, 0), (2, 3), zero_point=127))
    yield Case("pad", "everything", pad((2, 3, 1), (3, 2), (1, 4), (1, 2)))
    yield Case("pad", "nothing", pad((3, 3, 2), (0, 0), (0, 0), (0, 0)))
    yield Case("pad", "rows-only", pad((3, 3, 5), (2, 1), (0, 0), (0, 0)))
    yield Case("pad", "a-vector", pad((7,), (3, 1)))
    yield Case("pad", "rows-of-a-matrix", pad((3, 4), (1, 0), (0, 5)))
    for name, shape, new in (
        ("flatten", (3, 4, 5), (1, 60)),
        ("unflatten", (24,), (1, 2, 3, 4)),
        ("merge-pixels", (3, 4, 5), (1, 12, 5)),
        ("one", (1, 1, 1), (1, 1)),
    ):
        for with_tensor in (True, False):
            yield Case("reshape", f"{name}-{'tensor' if with_tensor else 'option'}", reshape(shape, new, with_tensor))
    for name, shape, axes in (("all", (1, 3, 1, 5), ()), ("some", (1, 3, 1, 5), (2,)), ("last", (1, 1, 4, 1), (-1, 1))):
        yield Case("squeeze", name, _of(shape, more.squeeze, axes))
    for axis in (0, 1, 2, -1):
        yield Case("expand_dims", f"axis-{axis}", _of((1, 3, 5), more.expand, axis))


def _slice_cases() -> Iterator[Case]:
    shape = (1, 5, 6, 7)
    boxes = (
        ("channels", (0, 0, 0, 2), (1, 5, 6, 3)),
        ("rows", (0, 1, 0, 0), (1, 3, 6, 7)),
        ("columns", (0, 0, 2, 0), (1, -1, 3, 7)),
        ("box", (0, 1, 2, 3), (1, 2, 3, -1)),
        ("one", (0, 4, 5, 6), (1, 1, 1, 1)),
        ("all", (0, 0, 0, 0), (1, -1, -1, -1)),
    )
    for name, begins, sizes in boxes:
        for dtype in ("int32", "int64"):
            yield Case("slice", f"{name}-{dtype}", _of(shape, more.take, begins, sizes, dtype))
    yield Case("slice", "vector", _of((1, 17), more.take, (0, 5), (1, 9)))
    yield Case("slice", "five-dimensions", _of((1, 3, 2, 4, 5), more.take, (0, 1, 0, 1, 2), (1, 2, 2, 2, 3)))
    every = slice(None)
    ranges: tuple[tuple[str, tuple[slice | int, ...]], ...] = (
        ("channels", (every, every, every, slice(1, 6))),
        ("every-second-row", (every, slice(0, None, 2), every, every)),
        ("every-third-channel", (every, every, every, slice(1, None, 3))),
        ("backwards", (every, every, slice(None, None, -1), every)),
        ("backwards-in-part", (every, slice(3, 0, -2), every, slice(-2, -7, -1))),
        ("negative-ends", (every, slice(-4, -1), every, slice(-3, None))),
        ("ends-beyond", (every, slice(1, 100), slice(-100, 4), every)),
        ("one-row", (every, 2, every, every)),
        ("one-channel", (every, every, every, -1)),
        ("one-pixel", (0, 1, 2, every)),
        ("all", (every, every, every, every)),
    )
    for name, parts in ranges:
        yield Case("strided_slice", name, _of(shape, more.strided, *parts))
    yield Case("strided_slice", "vector", _of((1, 20), more.strided, every, slice(3, 17, 4)))


def _split_cases() -> Iterator[Case]:
    for axis, count, at in ((-1, 2, 0), (-1, 2, 1), (3, 4, 2), (1, 3, 1), (2, 2, 1), (1, 6, 5), (3, 8, 7), (0, 1, 0)):
        yield Case("split", f"axis{axis}-{count}-part-{at}", _one_of((1, 6, 4, 8), at, more.split, count, axis))

    def again(net: Net) -> int:
        a, b = more.split(net, net.input((1, 4, 3, 8)), 2)
        return net.add(a, b)

    yield Case("split", "both-parts-used", again)
    for axis, sizes, at in (
        (-1, (3, 5, -1), 1),
        (-1, (3, 5, -1), 2),
        (1, (1, 5), 1),
        (2, (2, 1, 1), 0),
        (3, (1, 8), 0),
    ):
        build = _one_of((1, 6, 4, 9), at, more.split_v, sizes, axis)
        yield Case("split_v", f"axis{axis}-{sizes}-part-{at}", build)
    for axis, at in ((1, 3), (2, 0), (-1, 4), (3, 0), (0, 0)):
        yield Case("unpack", f"axis{axis}-part-{at}", _one_of((1, 4, 3, 5), at, more.unpack, axis))


def _transpose_cases() -> Iterator[Case]:
    for order in itertools.permutations(range(1, 4)):
        yield Case("transpose", f"order-{order}", _of((1, 3, 4, 5), more.transpose, (0, *order)))
    yield Case("transpose", "matrix", _of((7, 6), more.transpose, (1, 0)))
    yield Case("transpose", "only-ones", _of((1, 3, 1, 5), more.transpose, (2, 1, 0, 3)))
    yield Case("transpose", "five-dimensions", _of((1, 2, 3, 4, 5), more.transpose, (0, 3, 1, 4, 2)))
    for groups, channels in itertools.product((2, 3, 4), (12, 24)):
        yield Case("transpose", f"shuffle-{channels}-{groups}", _of((1, 3, 2, channels), more.shuffle, groups))


def _concatenation_cases() -> Iterator[Case]:
    def join(shape: tuple[int, ...], widths: Sequence[int], axis: int) -> Build:
        """Pieces of the input, in reverse."""

        def build(net: Net) -> int:
            parts = more.split_v(net, net.input(shape), widths, axis)
            return more.concatenate(net, parts[::-1], axis)

        return build

    for axis, widths in ((-1, (3, 5)), (3, (1, 1, 6)), (1, (2, 4)), (2, (3, 1)), (-1, (1,) * 8), (3, (4, 4))):
        yield Case("concatenation", f"axis{axis}-{widths}", join((1, 6, 4, 8), widths, axis))
    yield Case("concatenation", "vectors", join((1, 21), (5, 9, 7), 1))
    yield Case("concatenation", "one", _of((1, 3, 4), lambda net, x: more.concatenate(net, [x])))

    def twice(net: Net) -> int:
        x = net.input((1, 3, 2, 5))
        return more.concatenate(net, [x, x, x])

    def convolved(net: Net) -> int:
        x = net.input((1, 4, 4, 6))
        quant = {"scale": 0.05, "zero_point": -3}
        branches = [net.conv(x, 4, (1, 1), **quant), net.conv(x, 7, (3, 3), **quant), net.conv(x, 2, (5, 5), **quant)]
        return net.conv(more.concatenate(net, branches), 5, (1, 1))

    yield Case("concatenation", "same-tensor-thrice", twice)
    yield Case("concatenation", "branches", convolved)
    for axis in (0, 1, 2, 3, -1):
        build = _of((1, 3, 5), lambda net, x, axis=axis: more.pack(net, [x, net.quantize(x, net.scale(x))], axis))
        yield Case("pack", f"axis{axis}", build)


def _resize_cases() -> Iterator[Case]:
    for size, corners, centers in itertools.product(
        ((6, 8), (7, 5), (2, 2), (1, 1), (3, 12)), (False, True), (False, True)
    ):
        build = _of((1, 3, 4, 5), more.resize, size, corners, centers)
        yield Case("resize_nearest_neighbor", f"{size}-{corners}-{centers}", build)
