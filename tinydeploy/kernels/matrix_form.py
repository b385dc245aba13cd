"""How a matrix layer is cut into blocks: pixels of a row, columns of a patch, and the order of weights in flash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.kernels.base import Constant, Shape
from tinydeploy.kernels.channels import Channels
from tinydeploy.kernels.matrix_schedule import FP_REGISTERS
from tinydeploy.optimize import Optimize

# STRB reaches this many bytes from its base.
_STORE_REACH = 4095


@dataclass(frozen=True, slots=True)
class Choices:
    """What a matrix layer spends for speed.

    `unroll_words`: words of weights (per pair of channels) written out per turn of the inner loop.
    `straight_words`: up to so many words there is no loop; in blocks that run `often`, up to `often_words`.
    `turn_words`: channels are computed one after the other without a loop, up to so many words of short filters.
    `rest_words`: both of these for blocks that are few, at the end of a row.
    `wide_words`: up to so many words of a filter, weights are wide.
    `four_words`: from so many words on, blocks are two pixels by four channels, not three by two: four cycles of a
    hundred less, six instructions of a hundred more.
    `single_words`: words whose operands come by LDR alone (see `matrix_schedule.BlockForm`): a cycle less each, two
    instructions more.
    `held_words`: words of activations that a block keeps in the FPU's registers.
    `unroll_fours`: fours of bytes of a pixel written out per turn of a gather.
    `copied_bytes`: an input up to this size is copied whole into a padded frame, else patches at its border are.
    """

    unroll_words: int = 21
    straight_words: int = 32
    often_words: int = 64
    often: int = 512
    turn_words: int = 28
    rest_words: int = 9
    wide_words: int = 16
    four_words: int = 17
    single_words: int = 8
    held_words: int = FP_REGISTERS
    unroll_fours: int = 4
    copied_bytes: int = 1024

    def unrolled_as(self, other: Choices) -> Choices:
        """These with loops as long as those of `other`."""
        return replace(
            self,
            unroll_words=other.unroll_words,
            straight_words=other.straight_words,
            often_words=other.often_words,
        )


BALANCED = Choices()
CHOICES: dict[Optimize, Choices] = {
    "speed": Choices(
        unroll_words=33, straight_words=64, often_words=128, turn_words=64, rest_words=24, single_words=1 << 31
    ),
    "balanced": BALANCED,
    "ram": BALANCED,
    "flash": Choices(
        unroll_words=9,
        straight_words=9,
        often_words=9,
        turn_words=0,
        wide_words=0,
        four_words=1 << 31,
        unroll_fours=1,
        copied_bytes=0,
    ),
}


@dataclass(frozen=True, slots=True)
class Cut:
    """`width` output pixels of a row as `counts[0]` blocks of four, then of three, of two, and of one."""

    counts: tuple[int, int, int, int]

    def few(self, pixels: int) -> bool:
        """Whether less than a quarter of the blocks have this size."""
        return 4 * self.counts[4 - pixels] < sum(self.counts)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of each block that occurs."""
        return tuple(p for p, count in zip((4, 3, 2, 1), self.counts, strict=True) if count)

    @property
    def blocks(self) -> list[int]:
        """Pixels of each block, in order."""
        return [p for p, count in zip((4, 3, 2, 1), self.counts, strict=True) for _ in range(count)]


def cut_row(width: int, most: int) -> Cut:
    """Blocks of `most` pixels; of more than two, so that two are left rather than one, which costs nearly as much."""
    if width == 1 or most < 3:
        return Cut((0, 0, width // 2, width % 2) if most == 2 else (0, 0, 0, width))
    if most == 3:
        twos = (0, 2, 1)[width % 3]
        return Cut((0, (width - 2 * twos) // 3, twos, 0))
    threes, twos = ((0, 0), (1, 1), (0, 1), (1, 0))[width % 4]
    return Cut(((width - 3 * threes - 2 * twos) // 4, threes, twos, 0))


@dataclass(frozen=True, slots=True)
class Taps:
    """The taps of a kernel row in the order in which they are computed: phase by phase of the stride, so that taps of
    one phase read neighbouring columns. A plain product has the one tap."""

    kernel_w: int
    stride: int

    @property
    def order(self) -> tuple[int, ...]:
        """Kernel columns."""
        return tuple(
            k for phase in range(min(self.stride, self.kernel_w)) for k in range(phase, self.kernel_w, self.stride)
        )

    def columns(self, pixels: int) -> tuple[int, ...]:
        """Input columns of a block, relative to its first, in the order in which a patch holds them."""
        span = (pixels - 1) * self.stride + self.kernel_w
        return tuple(c for phase in range(min(self.stride, self.kernel_w)) for c in range(phase, span, self.stride))

    def slots(self, pixels: int) -> tuple[int, ...]:
        """For each tap in order, where in the patch its column of the first pixel is."""
        columns = self.columns(pixels)
        return tuple(columns.index(tap) for tap in self.order)


# A patch as wide as this is still gathered in registers.
MOST_COLUMNS = 7


def shared_taps(kernel_w: int, stride: int, depth: int) -> Taps | None:
    """Taps that share columns, where that pays: neighbouring windows overlap and channels come in fours."""
    taps = Taps(kernel_w, stride)
    fits = stride < kernel_w and depth % 4 == 0 and len(taps.columns(3)) <= MOST_COLUMNS
    return taps if fits else None


def window_order(rows: int, kernel_w: int, depth: int, taps: Taps) -> NDArray[np.int64]:
    """The order of a filter's weights (rows, kernel_w, depth) in use: by row, two channels, tap."""
    fours = [(at + i, at + i + 2) for at in range(0, depth, 4) for i in (0, 1)]
    order = [
        (row * kernel_w + tap) * depth + channel
        for row in range(rows)
        for two in fours
        for tap in taps.order
        for channel in two
    ]
    return np.array(order, dtype=np.int64)


def patch_order(rows: int, run_bytes: int) -> NDArray[np.int64]:
    """The order in which a patch of `rows` runs of bytes is widened, as indices into the patch.

    Four bytes at a time, SXTB16 takes bytes 0 and 2, then 1 and 3; what is left of each run follows at the end.
    """
    whole = run_bytes // 4 * 4
    body = [row * run_bytes + at + i for row in range(rows) for at in range(0, whole, 4) for i in (0, 2, 1, 3)]
    tail = [row * run_bytes + at for row in range(rows) for at in range(whole, run_bytes)]
    return np.array(body + tail, dtype=np.int64)


def pack_pairs(matrix: IntArray) -> NDArray[np.uint32] | None:
    """Rows 2i and 2i + 1 of (channels, taps) as words of two halfwords 256 * a + b, an odd last tap with a zero.

    None where a halfword overflows (both weights at -128) or where 256 times a sum could leave 32 bits.
    """
    channels, taps = matrix.shape
    padded = np.zeros((channels + channels % 2, taps + taps % 2), np.int64)
    padded[:channels, :taps] = matrix
    pairs = 256 * padded[0::2] + padded[1::2]
    if pairs.min(initial=0) < -(1 << 15) or 128 * np.abs(matrix).sum(axis=1).max(initial=0) >= 1 << 23:
        return None
    return pairs.astype(np.int16).view(np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A layer's constants in order of use, and what the block must know of them."""

    shape: Shape
    constants: tuple[Constant, ...]


def in_assembly(channels: Channels, out_c: int, groups: int, natural: bool) -> bool:
    """Whether the blocks in assembly cover a layer: pairs of channels, a proved form, no clamp beyond int8."""
    return channels.requant != "general" and natural and out_c % (2 * groups) == 0 and 3 * out_c + 1 <= _STORE_REACH


def stream(packed: NDArray[np.uint32], channels: Channels, pairs: int, groups: int) -> Weights:
    """Narrow weights and requantization as one stream, or one for each of a convolution's `groups`.

    First what all channels share: the offset if it is not 0, the factor where it is one (fast form). Then for every
    `pairs` pairs: the first channels' biases, 256 fold (unless the bias comes late); for each word those of
    each pair in turn; and for each pair what is left: of the fast form first the first channel's, else the second's.
    """
    turns, words = len(packed) // pairs, packed.shape[1]
    # The sums of a pair begin with the first channel's bias, 256 fold, unless that does not fit.
    late = channels.requant == "right" and not channels.assembly
    one_factor = channels.requant == "fast" and channels.common_factor is not None
    first, second = channels.table[0::2], channels.table[1::2]
    if channels.requant == "fast":
        keep = [0] if one_factor else [0, 1]
        parts = [first[:, keep[1:]], second[:, keep]]
    else:
        parts = [second, first if late else first[:, 1:]]
    body = packed.reshape(turns, pairs, words).transpose(0, 2, 1).reshape(turns, -1).astype(np.int64)
    fields = [body, np.concatenate(parts, axis=1).reshape(turns, -1)]
    if not late:
        fields.insert(0, (first[:, 0] << (8 - channels.scale)).reshape(turns, -1))
    return _weights(
        channels, groups, fields, {"wide": False, "late_bias": late, "one_factor": one_factor, "offset": False}
    )


def wide_stream(matrix: IntArray, channels: Channels, pairs: int, groups: int) -> Weights:
    """Wide weights: for every `pairs` pairs their biases, then word by word those of each channel, then pair by pair
    factors (fast form), or the second channel's constants and the first's."""
    out_c, taps = matrix.shape
    turns, each = out_c // (2 * pairs), 2 * pairs
    padded = np.zeros((out_c, taps + taps % 2), np.int64)
    padded[:, :taps] = matrix << channels.scale
    words = padded.astype(np.int16).view(np.uint32).astype(np.int64).reshape(turns, each, -1)
    one_factor = channels.requant == "fast" and channels.common_factor is not None
    fields = [channels.table[:, 0].reshape(turns, each), words.transpose(0, 2, 1).reshape(turns, -1)]
    if channels.requant == "right":
        fields.append(np.concatenate([channels.table[1::2, 1:], channels.table[0::2, 1:]], axis=1).reshape(turns, -1))
    elif not one_factor:
        fields.append(channels.table[:, 1].reshape(turns, each))
    return _weights(
        channels, groups, fields, {"wide": True, "late_bias": False, "one_factor": one_factor, "offset": False}
    )


def _weights(
    channels: Channels, groups: int, fields: Sequence[IntArray], shape: dict[str, int | str | bool | tuple[int, ...]]
) -> Weights:
    head = []
    if channels.requant == "fast":
        shape["offset"] = bool(channels.common_offset)
        head += [channels.common_offset] if shape["offset"] else []
        head += [channels.common_factor] if shape["one_factor"] else []
    each = np.concatenate(fields, axis=1).reshape(groups, -1)
    joined = np.concatenate([np.tile(np.array(head, np.int64), (groups, 1)), each], axis=1) & 0xFFFFFFFF
    shape["stream_words"] = joined.shape[1]
    return Weights(shape, (Constant("weights", "uint32_t", joined.reshape(-1).astype(np.uint32)),))
