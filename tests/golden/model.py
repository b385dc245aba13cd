"""The model behind the golden files: small enough to read, with an operator of each common kind."""

from __future__ import annotations

from support.net import Net
from support.tflite_schema import Activation


def model() -> bytes:
    """A 6x6 grey image through two convolutions with a residual sum to three classes."""
    net = Net(seed=11)
    x = net.input((1, 6, 6, 1), scale=1 / 255, zero_point=-128)
    a = net.conv(x, 4, stride=(2, 2), activation=Activation.RELU6, scale=0.0235294122248888, zero_point=-128)
    b = net.depthwise(a, activation=Activation.RELU6, scale=0.0235294122248888, zero_point=-128)
    c = net.add(a, net.conv(b, 4, (1, 1)))
    d = net.mean(c)
    return net.done(net.softmax(net.fully_connected(d, 3)))
