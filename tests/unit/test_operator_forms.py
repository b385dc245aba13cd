"""Forms of operators that are malformed or not compiled: one sentence each, which names the operator and what to do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support import net_ops as more
from support import tflite_schema as schema
from support import tflite_writer as w
from support.net import Net
from support.tflite_schema import Activation, Code

from tinydeploy.errors import ModelError, UnsupportedOpError
from tinydeploy.tflite import read_model

Break = Callable[[Net, int], int]


def changed(make: Break, index: int, data: list[int]) -> Break:
    """`make`, its constant number `index` replaced."""

    def build(net: Net, x: int) -> int:
        out = make(net, x)
        constants = [i for i, tensor in enumerate(net.model.tensors) if tensor.data is not None]
        at = constants[index]
        old = net.model.tensors[at]
        values = np.array(data, old.data.dtype)
        net.model.tensors[at] = w.Tensor(values.shape, old.dtype, old.quant, values)
        return out

    return build


def resized(make: Break, shape: tuple[int, ...]) -> Break:
    """`make`, its output said to be of another shape."""

    def build(net: Net, x: int) -> int:
        out = make(net, x)
        old = net.model.tensors[out]
        net.model.tensors[out] = w.Tensor(shape, old.dtype, old.quant)
        return out

    return build


def options(make: Break, change: schema.Options) -> Break:
    """`make`, its last operator with other options."""

    def build(net: Net, x: int) -> int:
        out = make(net, x)
        last = net.model.ops[-1]
        net.model.ops[-1] = w.Op(last.code, last.inputs, last.outputs, change)
        return out

    return build


def take(net: Net, x: int) -> int:
    return more.take(net, x, (0, 1, 0, 0), (1, 2, 5, 6))


def strided(net: Net, x: int) -> int:
    return more.strided(net, x, slice(None), slice(0, 2), slice(None), slice(None))


def one_row(net: Net, x: int) -> int:
    return more.strided(net, x, slice(None), 1, slice(None), slice(None))


def split(net: Net, x: int) -> int:
    return more.split(net, x, 2)[0]


def split_v(net: Net, x: int) -> int:
    return more.split_v(net, x, (2, 4))[0]


def transpose(net: Net, x: int) -> int:
    return more.transpose(net, x, (0, 2, 1, 3))


def resize(net: Net, x: int) -> int:
    return more.resize(net, x, (8, 10))


def twice(net: Net, x: int) -> int:
    return more.concatenate(net, [x, x])


def other_scale(net: Net, x: int) -> int:
    return more.concatenate(net, [x, net.quantize(x, net.scale(x) * 2)])


def unlike(net: Net, x: int) -> int:
    return more.concatenate(net, [x, more.take(net, x, (0, 0, 0, 0), (1, 1, 5, 6))])


def two_constants(net: Net, x: int) -> int:
    a, b = more.constant(net, (1, 1, 1, 6), 0.1), more.constant(net, (1, 4, 5, 6), 0.1)
    return more.binary(net, Code.MUL, a, b)


def times(scale: float) -> Break:
    return lambda net, x: more.binary(net, Code.MUL, x, x, scale=scale)


def of(code: Code, scale: float, zero_point: int, alpha: float = 0.0) -> Break:
    def build(net: Net, x: int) -> int:
        out = net.activation(net.shape(x), scale, zero_point)
        net.op(code, [x], [out], schema.LeakyRelu(alpha) if code is Code.LEAKY_RELU else None)
        return out

    return build


MALFORMED: dict[str, tuple[Break, str]] = {
    "slice-too-long": (changed(take, 0, [0, 3, 0, 0]), r"\(SLICE\): begins .* leave the shape"),
    "slice-of-nothing": (changed(take, 1, [1, 0, 5, 6]), "leave the shape"),
    "slice-short-begins": (changed(take, 0, [0, 1]), "is not 4 numbers"),
    "slice-other-output": (resized(take, (1, 2, 5, 5)), "its slice of"),
    "strided-zero": (changed(strided, 2, [1, 0, 1, 1]), "stride 0 along axis 1"),
    "strided-empty": (changed(strided, 0, [0, 4, 0, 0]), "takes nothing of 4 along axis 1"),
    "strided-backwards-index": (changed(one_row, 2, [1, -1, 1, 1]), "stride -1 along axis 1"),
    "split-axis": (changed(split, 0, [4]), "axis 4 does not fit"),
    "split-uneven": (resized(split, (1, 4, 5, 2)), "do not make up 6"),
    "split_v-lengths": (changed(split_v, 0, [3, 3]), "do not fit outputs"),
    "transpose-repeats": (changed(transpose, 0, [0, 1, 1, 3]), "is not an order of 4"),
    "transpose-output": (resized(transpose, (1, 4, 5, 6)), "in the order"),
    "resize-output": (resized(resize, (1, 8, 9, 6)), "at the size of 8 x 10"),
    "concatenation-scales": (other_scale, r"\(CONCATENATION\): .* quantized differently"),
    "concatenation-shapes": (unlike, "does not fit"),
    "concatenation-output": (resized(twice, (1, 4, 5, 13)), "do not make up 13"),
    "concatenation-axis": (options(twice, schema.Concatenation(4)), "axis 4 does not fit"),
    "concatenation-activation": (options(twice, schema.Concatenation(-1, Activation.RELU)), "fused activation"),
    "mul-scales": (times(1e-9), r"\(MUL\): its scales"),
    "leaky-slope": (of(Code.LEAKY_RELU, 0.1, 0, 1e30), "out of range"),
    "leaky-no-number": (of(Code.LEAKY_RELU, 0.1, 0, float("nan")), "out of range"),
    "logistic-zero-point": (of(Code.LOGISTIC, 1 / 256, 0), "zero point 0"),
    "hard-swish-scales": (of(Code.HARD_SWISH, 1e-6, 0), "out of range"),
    "squeeze-more": (lambda net, x: _squeezed(net, x), "differ in more than dimensions of 1"),
}

UNSUPPORTED: dict[str, tuple[Break, str]] = {
    "strided-ellipsis": (options(strided, schema.StridedSlice(ellipsis_mask=1)), "has an ellipsis"),
    "strided-new-axis": (options(strided, schema.StridedSlice(new_axis_mask=1)), "a new axis"),
    "mul-constants": (two_constants, "both inputs are constants"),
    "not-listed": (lambda net, x: _unknown(net, x), "SHAPE, which tinydeploy does not compile"),
}


def _squeezed(net: Net, x: int) -> int:
    out = net.activation((1, 5, 4, 6), net.scale(x), net.zero_point(x))
    net.op(Code.SQUEEZE, [x], [out], schema.Squeeze())
    return out


def _unknown(net: Net, x: int) -> int:
    out = net.activation(net.shape(x), net.scale(x), net.zero_point(x))
    net.op(Code.SHAPE, [x], [out], None)
    return out


def read(build: Break) -> None:
    net = Net(1)
    x = net.input((1, 4, 5, 6), 0.05, 3)
    read_model(net.done(build(net, x)), "model")


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    build, message = MALFORMED[name]
    with pytest.raises(ModelError, match=message) as raised:
        read(build)
    assert not isinstance(raised.value, UnsupportedOpError)
    assert str(raised.value).endswith("; export the model again.")


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported(name: str) -> None:
    build, message = UNSUPPORTED[name]
    with pytest.raises(UnsupportedOpError, match=message):
        read(build)


def test_the_outputs_of_a_split_are_operators_of_their_own() -> None:
    net = Net(2)
    parts = more.split(net, net.input((1, 4, 5, 6)), 3)
    graph = read_model(net.done(net.add(parts[0], parts[2])), "model")
    assert [(op.kind, op.index) for op in graph.ops] == [("SPLIT", 0)] * 3 + [("ADD", 1)]
    assert len({op.name for op in graph.ops}) == 4


@pytest.mark.parametrize(
    "build",
    [
        lambda net, x: more.transpose(net, x, (0, 3, 2, 1)),
        lambda net, x: more.concatenate(net, [x]),
        lambda net, x: more.split(net, x, 1)[0],
        lambda net, x: more.take(net, x, (0, 0, 0, 0), (1, -1, -1, -1)),
    ],
    ids=["transposed-ones", "single-concatenation", "single-split", "whole-slice"],
)
def test_what_moves_nothing_is_no_step(build: Break) -> None:
    from tinydeploy.compiler import compile_graph

    net = Net(3)
    x = net.conv(net.input((1, 3, 1, 2)), 1)
    graph = read_model(net.done(net.conv(build(net, x), 2, (1, 1))), "model")
    assert len(graph.ops) == 3
    assert [step.op.kind for step in compile_graph(graph, None).steps] == ["CONV_2D", "CONV_2D"]


def test_a_constant_that_is_one_value_makes_a_table() -> None:
    from tinydeploy.ops.quantize import Lookup

    net = Net(4)
    x = net.input((1, 4, 5, 6), 0.05, 3)
    graph = read_model(net.done(more.binary(net, Code.MUL, x, more.constant(net, (), 0.01))), "model")
    (op,) = graph.ops
    assert isinstance(op, Lookup)
    assert op.kind == "MUL"
