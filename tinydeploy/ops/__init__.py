"""The operators tinydeploy compiles: a file for each or for a few of a kind; a new one is a reader and a line here."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.ops import (
    activations,
    add,
    concatenation,
    conv,
    depthwise,
    extremum,
    fully_connected,
    mean,
    movement,
    mul,
    pad,
    pool,
    quantize,
    reshape,
    resize,
    softmax,
)
from tinydeploy.ops.base import Node, Op

# An operator with several outputs is read as one for each.
READERS: dict[str, Callable[[Node], Op | tuple[Op, ...]]] = {
    "ADD": add.read,
    "AVERAGE_POOL_2D": pool.read,
    "CONCATENATION": concatenation.read_concatenation,
    "CONV_2D": conv.read,
    "DEPTHWISE_CONV_2D": depthwise.read,
    "DEQUANTIZE": quantize.read_dequantize,
    "EXPAND_DIMS": reshape.read,
    "FULLY_CONNECTED": fully_connected.read,
    "HARD_SWISH": activations.read_hard_swish,
    "LEAKY_RELU": activations.read_leaky_relu,
    "LOGISTIC": activations.read_logistic,
    "MAXIMUM": extremum.read,
    "MAX_POOL_2D": pool.read,
    "MEAN": mean.read,
    "MINIMUM": extremum.read,
    "MUL": mul.read,
    "PACK": concatenation.read_pack,
    "PAD": pad.read,
    "QUANTIZE": quantize.read_quantize,
    "RELU": activations.read_relu,
    "RELU6": activations.read_relu6,
    "RESHAPE": reshape.read,
    "RESIZE_NEAREST_NEIGHBOR": resize.read,
    "SLICE": movement.read_slice,
    "SOFTMAX": softmax.read,
    "SPLIT": movement.read_split,
    "SPLIT_V": movement.read_split,
    "SQUEEZE": reshape.read,
    "STRIDED_SLICE": movement.read_strided_slice,
    "SUB": add.read,
    "TANH": activations.read_tanh,
    "TRANSPOSE": movement.read_transpose,
    "UNPACK": movement.read_unpack,
}
