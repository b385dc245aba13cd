"""The portable C kernels: one for every operator, right on every core; the faster ones fall back to these."""

from __future__ import annotations

import numpy as np

from tinydeploy.graph import Graph
from tinydeploy.kernels.base import (
    Constant,
    Implementation,
    channel_table,
    plus,
    requant_shape,
    window_shape,
)
from tinydeploy.ops.add import Add
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.depthwise import DepthwiseConv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.ops.mean import Mean
from tinydeploy.ops.operands import Operand
from tinydeploy.ops.pad import Pad
from tinydeploy.ops.pool import AveragePool2D, Pool2D
from tinydeploy.ops.quantize import Lookup, QuantizeFloat
from tinydeploy.ops.softmax import Softmax

_C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "float32": "float"}


def conv(op: Conv2D, graph: Graph) -> Implementation:
    """CONV_2D by loops."""
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    weights = op.weights.reshape(op.weights.shape[0], -1).astype(np.int64)
    folded = not sizes["padded"]
    bias = op.bias - op.input_zero_point * weights.sum(axis=1) if folded else op.bias
    return Implementation(
        "td_conv_s8",
        f"{sizes['in_h']}x{sizes['in_w']}x{sizes['in_c']}_{sizes['kernel_h']}x{sizes['kernel_w']}_{sizes['out_c']}",
        {
            **sizes,
            **requant_shape(op.requant),
            "groups": op.groups,
            "depth": op.weights.shape[3],
            "offset": "" if folded else plus(-op.input_zero_point),
        },
        (Constant("weights", "int8_t", op.weights.reshape(-1)), channel_table(bias, op.requant)),
    )


def depthwise(op: DepthwiseConv2D, graph: Graph) -> Implementation:
    """DEPTHWISE_CONV_2D by loops."""
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    folded = not sizes["padded"]
    total = op.weights.astype(np.int64).sum(axis=(0, 1))
    bias = op.bias - op.input_zero_point * total if folded else op.bias
    return Implementation(
        "td_depthwise_s8",
        f"{sizes['in_h']}x{sizes['in_w']}x{sizes['in_c']}_{sizes['kernel_h']}x{sizes['kernel_w']}",
        {
            **sizes,
            **requant_shape(op.requant),
            "multiplier": op.multiplier,
            "offset": "" if folded else plus(-op.input_zero_point),
        },
        (Constant("weights", "int8_t", op.weights.reshape(-1)), channel_table(bias, op.requant)),
    )


def fully_connected(op: FullyConnected, graph: Graph) -> Implementation:
    """FULLY_CONNECTED by loops."""
    bias = op.bias - op.input_zero_point * op.weights.astype(np.int64).sum(axis=1)
    out_c, depth = op.weights.shape
    return Implementation(
        "td_fully_connected_s8",
        f"{depth}_{out_c}",
        {**requant_shape(op.requant), "rows": op.rows, "depth": depth, "out_c": out_c},
        (Constant("weights", "int8_t", op.weights.reshape(-1)), channel_table(bias, op.requant)),
    )


def add(op: Add, graph: Graph) -> Implementation:
    """ADD, element by element or broadcast."""
    out = np.broadcast_shapes(op.operands[0].shape, op.operands[1].shape)
    same_shape = op.operands[0].shape == op.operands[1].shape
    return Implementation(
        "td_add_s8",
        "x".join(str(size) for size in out[1:]),
        {
            "same_shape": same_shape,
            "elements": int(np.prod(out)),
            "out_shape": tuple(int(size) for size in out),
            "a_strides": _strides(op.operands[0]),
            "b_strides": _strides(op.operands[1]),
            "a_zero_point": op.operands[0].zero_point,
            "a_mantissa": op.operands[0].multiplier.mantissa,
            "a_shift": op.operands[0].multiplier.shift,
            "b_zero_point": op.operands[1].zero_point,
            "b_mantissa": op.operands[1].multiplier.mantissa,
            "b_shift": op.operands[1].multiplier.shift,
            "mantissa": op.multiplier.mantissa,
            "shift": op.multiplier.shift,
            "zero_point": op.output_zero_point,
            "act_min": op.act_min,
            "act_max": op.act_max,
            # Constant operands come among the inputs, in their place.
            "constant_side": 0 if op.operands[0].tensor is None else 1 if op.operands[1].tensor is None else -1,
        },
        tuple(
            Constant("operand", "int8_t", np.frombuffer(side.data, np.int8))
            for side in op.operands
            if side.tensor is None
        ),
        in_place=same_shape,
    )


def _strides(operand: Operand) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(operand.shape):
        strides.append(0 if size == 1 else step)
        step *= size
    return tuple(reversed(strides))


def pool(op: Pool2D, graph: Graph) -> Implementation:
    """Both pools."""
    sizes = window_shape(graph, op.inputs[0], op.output, op.window)
    average = isinstance(op, AveragePool2D)
    return Implementation(
        "td_pool_s8",
        f"{'average' if average else 'max'}_{sizes['in_h']}x{sizes['in_w']}x{sizes['in_c']}",
        {**sizes, "average": average, "act_min": op.act_min, "act_max": op.act_max},
    )


def mean(op: Mean, graph: Graph) -> Implementation:
    """MEAN over neighbouring axes."""
    return Implementation(
        "td_mean_s8",
        f"{op.outer}x{op.reduced}x{op.inner}",
        {
            "outer": op.outer,
            "reduced": op.reduced,
            "inner": op.inner,
            "mantissa": op.multiplier.mantissa,
            "shift": op.multiplier.shift,
            "input_zero_point": op.input_zero_point,
            # Added modulo 2^32, so that absurd scales wrap as in TFLM.
            "zero_point": op.output_zero_point & 0xFFFFFFFF,
        },
    )


def pad(op: Pad, graph: Graph) -> Implementation:
    """PAD by fill and copy."""
    out = tuple(size + before + after for size, (before, after) in zip(op.shape, op.pads, strict=True))
    return Implementation(
        "td_pad_s8",
        "x".join(str(size) for size in out[1:]),
        {
            "in_shape": op.shape,
            "out_shape": out,
            "before": tuple(before for before, _ in op.pads),
            "out_bytes": int(np.prod(out)),
            "value": op.value,
        },
    )


def lookup(op: Lookup, graph: Graph) -> Implementation:
    """QUANTIZE and DEQUANTIZE of 8-bit values by table."""
    source, output = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    ctype = _C_TYPES[output.dtype]
    return Implementation(
        "td_lookup",
        f"{source.dtype}_{output.dtype}_{source.elements}",
        {"in_type": _C_TYPES[source.dtype], "out_type": ctype, "elements": source.elements},
        (Constant("table", ctype, op.table),),
        in_place=source.size_bytes == output.size_bytes,
    )


def quantize_float(op: QuantizeFloat, graph: Graph) -> Implementation:
    """QUANTIZE of float32."""
    elements = graph.tensors[op.output].elements
    scale = f"{float(np.float32(op.scale)).hex()}f"
    return Implementation(
        "td_quantize_f32", str(elements), {"elements": elements, "scale": scale, "zero_point": op.zero_point}
    )


def softmax(op: Softmax, graph: Graph) -> Implementation:
    """SOFTMAX with its table of exponentials."""
    return Implementation(
        "td_softmax_s8",
        f"{op.rows}x{op.depth}",
        {"rows": op.rows, "depth": op.depth, "table_length": len(op.exp_table)},
        (Constant("exp_table", "int32_t", op.exp_table),),
        in_place=True,
    )
