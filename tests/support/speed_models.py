"""Small nets that between them use every kernel, for counting instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.net import Net
from support.tflite_schema import Activation, Padding

RELU6: dict[str, Any] = {"activation": Activation.RELU6, "scale": 0.0235294122248888, "zero_point": -128}


def mobilenet() -> bytes:
    """First convolution, depthwise of both strides, pointwise, mean, classifier; an odd width, too."""
    net = Net(1)
    x = net.conv(net.input((1, 24, 24, 3)), 8, stride=(2, 2), **RELU6)
    for channels, stride in ((16, 1), (32, 2), (33, 1)):
        x = net.conv(net.depthwise(x, stride=(stride, stride), **RELU6), channels, (1, 1), **RELU6)
    return net.done(net.softmax(net.fully_connected(net.mean(x), 10)))


def resnet() -> bytes:
    """3x3 convolutions with residual sums, a 1x1 shortcut of stride 2, grouped convolution, both kinds of pooling."""
    net = Net(2)
    x = net.conv(net.input((1, 12, 12, 3)), 16, **RELU6)
    x = net.add(x, net.conv(net.conv(x, 16, **RELU6), 16), Activation.RELU)
    x = net.add(net.conv(x, 32, (1, 1), (2, 2)), net.conv(net.conv(x, 32, stride=(2, 2), **RELU6), 32))
    x = net.pool("max", net.conv(x, 32, groups=4), (2, 2), (2, 2))
    x = net.pool("average", net.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0))), (2, 2), (2, 2))
    return net.done(net.fully_connected(net.reshape(x, (1, 2 * 2 * 32)), 10))


def audio() -> bytes:
    """The windows of keyword spotting: 10x4, k x 1 and 1 x k, 10x8 with a depth multiplier, dilation; float edges."""
    net = Net(3)
    x = net.quantize(net.float_input((1, 25, 10, 1)))
    x = net.conv(x, 16, (10, 4), (2, 2), **RELU6)
    x = net.depthwise(net.depthwise(x, (5, 1)), (1, 5))
    x = net.conv(net.conv(x, 12, (3, 1), padding=Padding.VALID), 8, dilation=(2, 2), padding=Padding.SAME)
    x = net.depthwise(x, (10, 8), (2, 2), depth_multiplier=2)
    return net.done(net.dequantize(net.softmax(net.fully_connected(x, 12))))


def autoencoder() -> bytes:
    """Fully connected layers over a vector, their weights read once."""
    net = Net(4)
    x = net.input((1, 160))
    for width in (64, 8, 64):
        x = net.fully_connected(x, width, Activation.RELU)
    return net.done(net.fully_connected(x, 160))


SPEED_MODELS: dict[str, Callable[[], bytes]] = {made.__name__: made for made in (mobilenet, resnet, audio, autoencoder)}
