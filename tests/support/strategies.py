"""Random small int8 networks: a few operators, residual sums, splits, concatenations and shuffles, tensors read twice,
odd shapes, extreme numbers, inputs that meet ties and the ends of accumulators.

One description serves Hypothesis, which shrinks what fails (simple choices come first), and seeded campaigns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from support import net_ops as more
from support.case import extreme_inputs
from support.extremes import directed_inputs
from support.net import Net
from support.tflite_schema import Activation, Code, Padding
from support.tflite_writer import Model

T = TypeVar("T")
Choose = Callable[[Sequence[Any]], Any]
"""Picks one of a sequence."""

MAX_OPS = 8
DIRECTED_INPUTS = 4
MOST_MACS_PER_OP = 60_000
MOST_ELEMENTS = 6_000
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12)
CHANNELS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 24, 31, 33)
# 1x1 and 3x3 most often: they have kernels of their own.
KERNELS = ((1, 1), (3, 3)) * 4 + ((2, 2), (1, 3), (3, 1), (5, 5), (1, 5), (7, 1), (3, 5), (10, 4), (2, 3))
STRIDES = ((1, 1), (1, 1), (2, 2), (1, 2), (2, 1), (3, 3))
DILATIONS = ((1, 1),) * 6 + ((2, 2), (1, 3), (3, 2))
PADDINGS = (Padding.SAME, Padding.VALID)
# Powers of two make effective scales exact, which puts every second accumulator on a rounding tie.
SCALES = (None,) * 8 + (0.0235294122248888, 0.03125, 0.0625, 0.0625, 0.125, 1.0, 1e-6, 500.0)
ZERO_POINTS = (None,) * 6 + (-128, -128, 127, 0)
EXTREMES: tuple[dict[str, Any], ...] = (
    *({},) * 12,
    {"bias": "zero"},
    {"bias": "none"},
    {"bias": "high"},
    {"bias": "low"},
    {"weights": "sparse"},
    {"weights": "small"},
    {"weights": "extreme"},
    {"weights": "plus127"},
    {"weights": "minus128"},
    {"gain": 0.05},
    {"gain": 20.0},
    {"gain": 1e-5},
    {"weights": "sparse", "multipliers": (0.5, 0.25, 0.125, 2.0**-6, 2.0**-7)},
    {"weights": "small", "multipliers": (2.0**-2, 2.0**-3, 2.0**-4)},
    {"weights": "small", "multipliers": (1.0, 1.5, 2.0, 0.99999, 2.0**-33)},
    {"bias": "high", "multipliers": (2.0**-24, 1.3e-8, 6.1e-8)},
)
UNARY = (Code.RELU, Code.RELU6, Code.LEAKY_RELU, Code.HARD_SWISH, Code.LOGISTIC, Code.TANH)
BINARY = (Code.ADD, Code.MUL, Code.MUL, Code.SUB, Code.MAXIMUM, Code.MINIMUM)
ACTIVATIONS = (*((Activation.NONE,) * 3), *tuple(Activation))


@dataclass(frozen=True, slots=True)
class Network:
    """A model with its inputs, (N, *shape)."""

    description: Model
    inputs: NDArray[Any]

    @property
    def data(self) -> bytes:
        return self.description.to_bytes()


def seeded_network(seed: int) -> Network:
    """The network of this seed, the same on every machine, with inputs found for it."""
    rng = np.random.default_rng([seed, 20_240_607])
    made = _network(lambda options: options[int(rng.integers(len(options)))], seed)
    found = directed_inputs(made.description, made.inputs, seed, DIRECTED_INPUTS)
    return Network(made.description, np.concatenate([made.inputs, np.stack(found)])) if found else made


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A Hypothesis strategy of networks."""
    return _network(lambda options: draw(st.sampled_from(options)), draw(st.integers(0, 2**31 - 1)))


def _network(choose: Choose, seed: int) -> Network:
    net = Net(seed)
    builder = _Builder(net, choose)
    output = builder.build()
    net.model.outputs = [output]
    source = net.model.tensors[net.model.inputs[0]]
    zero_point = source.quant.zero_points[0] if source.quant is not None else 0
    return Network(net.model, extreme_inputs(source.shape, source.dtype, zero_point, seed))


class _Builder:
    """Grows a net from its input; `live` holds the int8 tensors that further operators may read."""

    def __init__(self, net: Net, choose: Choose) -> None:
        self.net = net
        self.choose = choose
        self.live: list[int] = []

    def build(self) -> int:
        choose, net = self.choose, self.net
        self.live.append(self._input())
        for _ in range(choose(range(1, MAX_OPS - 1))):
            made = self._step()
            if made is not None:
                self.live.append(made)
        end = self.live[-1]
        if end == net.model.inputs[0] or choose((False, True, True)):
            end = self._head(end)
        edge = choose(("int8",) * 6 + ("float32", "uint8"))
        if edge == "float32":
            return net.dequantize(end)
        return net.quantize(end, dtype="uint8") if edge == "uint8" else end

    def _input(self) -> int:
        choose, net = self.choose, self.net
        if choose((True, True, True, True, True, False)):
            shape: tuple[int, ...] = (1, choose(SIZES), choose(SIZES), choose(CHANNELS))
        else:
            shape = (1, choose((1, 5, 16, 33, 100)))
        edge = choose(("int8",) * 8 + ("float32", "uint8"))
        if edge == "float32":
            return net.quantize(net.float_input(shape), *self._quant())
        if edge == "uint8":
            x = net.activation(shape, 0.05, 120, "uint8")
            net.model.inputs.append(x)
            return net.quantize(x)
        return net.input(shape, *self._quant())

    def _quant(self) -> tuple[float | None, int | None]:
        scale = self.choose(SCALES)
        return (None if scale is None else float(np.float32(scale))), self.choose(ZERO_POINTS)

    def _step(self) -> int | None:
        """One more operator, or None where the one chosen does not apply."""
        choose = self.choose
        # The newest tensor most often; an older one now and then, which then has several readers.
        x = choose([self.live[-1]] * 3 + self.live)
        kinds = [self._conv, self._depthwise, self._residual, self._add, self._pool, self._pad, self._mean_kept]
        kinds += [self._conv, self._depthwise] * 3 + [self._residual, self._rows_connected]
        kinds += [self._split, self._split, self._concatenate, self._branches, self._shuffle, self._take, self._unit]
        kinds += [self._unary, self._binary, self._binary_constant, self._resize]
        if len(self.net.shape(x)) == 2:
            kinds = [self._fully_connected, self._add, self._pad_vector, self._requantize]
            kinds += [self._split, self._concatenate, self._unary, self._binary]
        made: int | None = choose(kinds)(x)
        return made

    def _numbers(self) -> dict[str, Any]:
        scale, zero_point = self._quant()
        numbers = {"scale": scale, "zero_point": zero_point, "activation": self.choose(ACTIVATIONS)}
        return {**numbers, **self.choose(EXTREMES)}

    def _window(self, x: int) -> dict[str, Any] | None:
        """Kernel, stride, dilation and padding that leave an output."""
        choose = self.choose
        kernel, stride, dilation, padding = choose(KERNELS), choose(STRIDES), choose(DILATIONS), choose(PADDINGS)
        _, height, width, _ = self.net.shape(x)
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        if padding is Padding.VALID and (reach[0] > height or reach[1] > width):
            return None
        return {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}

    def _conv(self, x: int) -> int | None:
        window = self._window(x)
        if window is None:
            return None
        _, height, width, depth = self.net.shape(x)
        groups = self.choose([1, 1, 1, *(g for g in (2, 3, 4) if depth % g == 0)])
        per_channel = height * width * math.prod(window["kernel"]) * depth // groups
        wanted = [*CHANNELS, depth, depth]  # an equal width lets a residual sum follow
        fits = [c for c in wanted if c % groups == 0 and c * per_channel <= MOST_MACS_PER_OP]
        if not fits:
            return None
        return self.net.conv(
            x,
            self.choose(fits),
            groups=groups,
            **window,
            per_channel=self.choose((True, True, False)),
            **self._numbers(),
        )

    def _depthwise(self, x: int) -> int | None:
        window = self._window(x)
        if window is None:
            return None
        depth_multiplier = self.choose((1, 1, 1, 2, 3))
        return self.net.depthwise(
            x,
            **window,
            depth_multiplier=depth_multiplier,
            per_channel=self.choose((True, True, False)),
            **self._numbers(),
        )

    def _add(self, x: int) -> int | None:
        shape = self.net.shape(x)
        same = [t for t in self.live if self.net.shape(t) == shape]
        other = self.choose(same)
        # TFLM wants the output scale above twice the larger input scale over 2^20; Net's own choice is.
        return self.net.add(x, other, self.choose(ACTIVATIONS), None, self.choose(ZERO_POINTS))

    def _residual(self, x: int) -> int | None:
        """A sum of `x` and what one or two convolutions make of it."""
        choose, net = self.choose, self.net
        _, height, width, depth = net.shape(x)
        if height * width * depth * depth > MOST_MACS_PER_OP:
            return None
        inner = net.depthwise(x, choose(KERNELS), **self._numbers()) if choose((True, False)) else x
        return net.add(x, net.conv(inner, depth, (1, 1)), choose(ACTIVATIONS), None, choose(ZERO_POINTS))

    def _rows_connected(self, x: int) -> int | None:
        """FULLY_CONNECTED of each pixel."""
        made = self.net.fully_connected(x, self.choose(CHANNELS), keep_dims=True, **self._numbers())
        return made if math.prod(self.net.shape(made)) <= MOST_ELEMENTS else None

    def _pool(self, x: int) -> int | None:
        choose = self.choose
        _, height, width, _ = self.net.shape(x)
        filter, stride, padding = (
            choose(((2, 2), (3, 3), (1, 2), (5, 1), (height, width))),
            choose(STRIDES),
            choose(PADDINGS),
        )
        if padding is Padding.VALID and (filter[0] > height or filter[1] > width):
            return None
        return self.net.pool(choose(("average", "max")), x, filter, stride, padding, choose(ACTIVATIONS))

    def _pad(self, x: int) -> int | None:
        amounts = ((0, 0), (1, 1), (0, 1), (2, 0))
        channels = self.choose(((0, 0), (0, 0), (0, 3)))
        return self.net.pad(x, ((0, 0), self.choose(amounts), self.choose(amounts), channels))

    def _mean_kept(self, x: int) -> int | None:
        return self.net.mean(x, self.choose(((1, 2), (1,), (2,), (3,))), True, None, self.choose(ZERO_POINTS))

    def _split(self, x: int) -> int | None:
        """All parts live on; the last is the newest."""
        axis = self.choose((-1, -1, 1))
        size = self.net.shape(x)[axis]
        counts = [n for n in (2, 3, 4) if size % n == 0]
        if not counts:
            return None
        if self.choose((True, True, False)):
            parts = more.split(self.net, x, self.choose(counts), axis)
        else:
            parts = more.split_v(self.net, x, (1, -1), axis)
        self.live += parts[:-1]
        return parts[-1]

    def _concatenate(self, x: int) -> int | None:
        """TFLM wants inputs of one quantization."""
        net, axis = self.net, self.choose((-1, -1, 1))

        def fits(t: int) -> bool:
            a, b = list(net.shape(x)), list(net.shape(t))
            return len(a) == len(b) and a[:axis] + a[axis:][1:] == b[:axis] + b[axis:][1:]

        quant = net.model.tensors[x].quant
        same = [t for t in self.live if fits(t) and net.model.tensors[t].quant == quant]
        parts = [x, *(self.choose(same) for _ in range(self.choose((1, 1, 2))))]
        if sum(math.prod(net.shape(t)) for t in parts) > MOST_ELEMENTS:
            return None
        return more.concatenate(net, parts[:: self.choose((1, -1))], axis)

    def _branches(self, x: int) -> int | None:
        """Convolutions of one input, side by side, as in an Inception module."""
        quant = {"scale": 0.05, "zero_point": self.choose((-128, 3))}
        widths = self.choose(((3, 5), (4, 4), (1, 2, 6)))
        if sum(widths) * math.prod(self.net.shape(x)) * 9 > 3 * MOST_MACS_PER_OP:
            return None
        kernels = ((1, 1), (3, 3), (1, 3))
        parts = [self.net.conv(x, width, kernel, **quant) for width, kernel in zip(widths, kernels, strict=False)]
        return more.concatenate(self.net, parts)

    def _shuffle(self, x: int) -> int | None:
        groups = [n for n in (2, 3, 4) if self.net.shape(x)[3] % n == 0]
        return more.shuffle(self.net, x, self.choose(groups)) if groups else None

    def _unit(self, x: int) -> int | None:
        """Split, compute on one part, concatenate, shuffle, as in ShuffleNet V2."""
        net, depth = self.net, self.net.shape(x)[3]
        if depth % 2 or math.prod(net.shape(x)) * depth > 2 * MOST_MACS_PER_OP:
            return None
        quant = {"scale": net.scale(x), "zero_point": net.zero_point(x)}
        kept, part = more.split(net, x, 2)
        part = net.conv(part, depth // 2, (1, 1), groups=self.choose((1, depth // 2)))
        if self.choose((True, False)):
            part = net.depthwise(part)
        part = net.conv(part, depth // 2, (1, 1), **quant)
        return more.shuffle(net, more.concatenate(net, [kept, part]), 2)

    def _take(self, x: int) -> int | None:
        net, shape = self.net, self.net.shape(x)
        everything = slice(None)
        if self.choose((True, True, False)):
            part = self.choose((slice(0, (shape[3] + 1) // 2), slice(shape[3] // 2, None), slice(None, None, 2)))
            return more.strided(net, x, everything, everything, everything, part)
        if self.choose((True, False)):
            return more.strided(net, x, everything, slice(shape[1] // 3, None), slice(None, None, -1), everything)
        return more.transpose(net, x, self.choose(((0, 2, 1, 3), (0, 1, 3, 2))))

    def _resize(self, x: int) -> int | None:
        _, height, width, depth = self.net.shape(x)
        if 4 * height * width * depth > MOST_ELEMENTS:
            return None
        size = self.choose(((2 * height, 2 * width), (height + 1, (width + 1) // 2)))
        return more.resize(self.net, x, size, *self.choose(((False, False), (False, True), (True, False))))

    def _unary(self, x: int) -> int | None:
        code = self.choose(UNARY)
        if not 1e-5 < self.net.scale(x) < 100:
            return None
        return more.unary(self.net, code, x, zero_point=self.choose(ZERO_POINTS), alpha=self.choose((0.1, 0.3)))

    def _binary(self, x: int) -> int | None:
        net, shape = self.net, self.net.shape(x)
        over_pixels = (*((1,) * (len(shape) - 1)), shape[-1])
        other = self.choose([t for t in self.live if net.shape(t) in (shape, over_pixels)])
        sides = (x, other) if self.choose((True, False)) else (other, x)
        return self._of_two(*sides)

    def _binary_constant(self, x: int) -> int | None:
        depth = self.net.shape(x)[-1]
        constant = more.constant(self.net, self.choose(((1, 1, 1, depth), (depth,), ())), 0.02, self.choose((0, -7)))
        return self._of_two(*((x, constant) if self.choose((True, False)) else (constant, x)))

    def _of_two(self, a: int, b: int) -> int | None:
        code = self.choose(BINARY)
        if code is Code.MUL and not 1e-7 < self.net.scale(a) * self.net.scale(b) < 1e4:
            return None
        return more.binary(self.net, code, a, b, self.choose(ACTIVATIONS), None, self.choose(ZERO_POINTS))

    def _fully_connected(self, x: int) -> int | None:
        depth = math.prod(self.net.shape(x)[1:])
        fits = [c for c in CHANNELS if c * depth <= MOST_MACS_PER_OP] or [1]
        return self.net.fully_connected(x, self.choose(fits), per_channel=self.choose((False, True)), **self._numbers())

    def _pad_vector(self, x: int) -> int | None:
        return self.net.pad(x, ((0, 0), self.choose(((1, 2), (0, 3)))))

    def _requantize(self, x: int) -> int | None:
        return self.net.quantize(x, None, self.choose(ZERO_POINTS))

    def _head(self, x: int) -> int:
        """A classifier's end: pooled or flattened, fully connected, perhaps with softmax."""
        choose, net = self.choose, self.net
        if len(net.shape(x)) == 4:
            if choose((True, False)):
                x = net.mean(x, (1, 2), keep_dims=choose((False, True)))
            if len(net.shape(x)) == 4:
                x = net.reshape(x, (1, math.prod(net.shape(x))), choose((True, False)))
        made = self._fully_connected(x)
        assert made is not None
        return net.softmax(made, choose((1.0, 1.0, 0.5))) if choose((False, True)) else made
