"""The operators tinydeploy compiles: one file each; a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.ops import add, conv, depthwise, fully_connected, mean, pad, pool, quantize, reshape, softmax
from tinydeploy.ops.base import Node, Op

READERS: dict[str, Callable[[Node], Op]] = {
    "ADD": add.read,
    "AVERAGE_POOL_2D": pool.read,
    "CONV_2D": conv.read,
    "DEPTHWISE_CONV_2D": depthwise.read,
    "DEQUANTIZE": quantize.read_dequantize,
    "FULLY_CONNECTED": fully_connected.read,
    "MAX_POOL_2D": pool.read,
    "MEAN": mean.read,
    "PAD": pad.read,
    "QUANTIZE": quantize.read_quantize,
    "RESHAPE": reshape.read,
    "SOFTMAX": softmax.read,
}
