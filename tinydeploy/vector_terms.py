"""What the cost of kernels for MVE grows with: how often the parts of their loops run, by shape (docs/M55.md)."""

from __future__ import annotations

from tinydeploy.kernels.base import Shape, integer, integers

_LANES = 8
# Chunks of taps that a block writes out, and of a longer one per turn of its loop (td_conv_s8_mve).
_STRAIGHT, _TURN = 9, 6


def vector_terms(shape: Shape) -> dict[str, float] | None:
    """The terms of a convolution or a depthwise one in vectors; None for any other kernel."""
    if "chunks" in shape:
        return _matrix(shape)
    if "down" in shape:
        return _depthwise(shape)
    return None


def _matrix(shape: Shape) -> dict[str, float]:
    """Blocks of four pixels, then of what is left; each by pairs of channels, an odd one alone, by chunks of taps."""
    pixels, chunks, channels = (integer(shape, name) for name in ("pixels", "chunks", "out_c"))
    pieces = len(integers(shape, "pieces")) // 5
    whole, rest = divmod(pixels, 4)
    pairs, odd = divmod(channels, 2)
    counts: dict[str, float] = {"1": 1, "pixels": pixels, "pieces": pixels * pieces}
    for name, blocks, size in (("fours", whole, 4), ("rests", int(rest > 0), rest)):
        counts |= {
            name: blocks,
            f"{name} by pieces": blocks * pieces,
            f"{name} by pairs": blocks * pairs,
            f"{name} by odd": blocks * odd,
            f"{name} by turns": blocks * (pairs + odd) * (chunks // _TURN if chunks > _STRAIGHT else 0),
        }
        for group, count in (("pairs", pairs), ("odd", odd)):
            counts[f"{name} by {group} by chunks"] = blocks * count * chunks
            counts[f"{name} by {group} by loads"] = blocks * count * chunks * size
    if shape.get("padded"):
        counts |= {"windows": pixels, "windows by rows": pixels * integer(shape, "kernel_h")}
    return counts


def _depthwise(shape: Shape) -> dict[str, float]:
    """A plane for each channel: its lines copied, eight pixels at a time, then bands of rows by groups of columns."""
    lines, down, *_ = integers(shape, "down")
    length, along, *_ = integers(shape, "along")
    rows, channels = integer(shape, "rows"), integer(shape, "channels")
    bands, columns = -(-down // rows), _LANES // rows
    groups, tail = divmod(along, columns)
    return {
        "1": 1,
        "plane": integer(shape, "plane_bytes"),
        "channels": channels,
        "lines": channels * lines,
        "copies": channels * lines * -(-length // _LANES),
        "bands": channels * bands,
        "groups": channels * bands * groups,
        "tails": channels * bands * (tail > 0),
        "tail columns": channels * bands * tail,
    }
