"""What lint finds, and where float and int8 part."""

from __future__ import annotations

import numpy as np
from support.net import Net

from tinydeploy.evaluate import ClassAccuracy, Comparison, Parting
from tinydeploy.lint import lint
from tinydeploy.tflite import read_model


def lint_of(net: Net, output: int) -> tuple[str, ...]:
    return lint(read_model(net.done(output), "m"))


def test_accuracies_and_partings_come_from_the_predictions() -> None:
    labels, floats, int8s = (np.array(row, np.int64) for row in ([0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 1, 0]))
    comparison = Comparison(labels, floats, int8s)
    assert (comparison.samples, comparison.float_accuracy, comparison.int8_accuracy) == (4, 0.75, 0.75)
    assert comparison.by_class(("a", "b")) == (ClassAccuracy("a", 2, 1, 2), ClassAccuracy("b", 2, 2, 1))
    assert comparison.partings() == (Parting(1, 0, 1, 0), Parting(3, 1, 1, 0))


def test_a_sound_model_has_nothing_to_lint() -> None:
    net = Net()
    assert lint_of(net, net.depthwise(net.conv(net.input((1, 6, 6, 3)), 5))) == ()


def test_a_scale_that_only_zeros_need_is_reported() -> None:
    net = Net()
    (sentence,) = lint_of(net, net.conv(net.input((1, 6, 6, 3)), 5, scale=8e-9, multipliers=[2.0**-7]))
    assert "has the scale 8.0e-09" in sentence
    assert "train the model before quantizing" in sentence


def test_channels_that_never_change_are_counted() -> None:
    net = Net()
    out = net.conv(net.input((1, 6, 6, 3)), 4, multipliers=[2.0**-7, 2.0**-7, 2.0**-40, 2.0**-7])
    assert any("1 of 4 output channels do not depend on the input" in sentence for sentence in lint_of(net, out))


def test_zero_weights_are_counted_in_every_kind_of_layer() -> None:
    net = Net()
    x = net.input((1, 4, 4, 3))
    out = net.fully_connected(net.depthwise(net.conv(x, 4)), 6)
    for tensor in net.model.tensors:
        if tensor.data is not None and tensor.dtype == "int8":
            tensor.data[..., 0] = 0  # one input of each output for dense layers, one output for depthwise ones
    (sentence,) = lint_of(net, out)
    assert "1 of 4 output channels" in sentence


def test_float_edges_are_reported() -> None:
    net = Net()
    x = net.quantize(net.float_input((1, 4, 4, 3)))
    assert lint_of(net, net.conv(x, 2)) == (
        "the input is float32: the device converts it on every inference; export with int8 input and output",
    )
