""".tflite bytes to Graph: every field checked on the way in, so that nothing downstream checks again.

Field numbers are the slots of the tables in TensorFlow Lite's schema.fbs, version 3.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import ModelError, UnsupportedOpError
from tinydeploy.flatbuffer import Table, root
from tinydeploy.graph import NUMPY_DTYPES, DType, Graph, Quant, Tensor, verify
from tinydeploy.opnames import BUILTIN_OPERATORS
from tinydeploy.ops import READERS
from tinydeploy.ops.base import Node, Op

# TensorType of the schema.
_DTYPES: dict[int, DType] = {0: "float32", 2: "int32", 3: "uint8", 4: "int64", 7: "int16", 9: "int8"}
# No tensor of a microcontroller model is larger; the bound keeps damaged shapes from exhausting memory.
_MAX_ELEMENTS = 1 << 28
_MAX_DIMENSIONS = 8
# Converters join the names of fused layers with semicolons; what is beyond this helps nobody.
_MAX_NAME = 100


def read_model(data: bytes, name: str) -> Graph:
    """The graph of a .tflite file's bytes; `name` is what messages and generated code call the model.

    Raises ModelError for a damaged file or a model that is not int8, UnsupportedOpError for an operator that tinydeploy
    does not compile, named with its index.
    """
    try:
        return _read(data, name)
    except ModelError as error:
        raise type(error)(f"{name}: {error}") from None


def operator_kinds(data: bytes) -> tuple[str, ...]:
    """The schema's names of all operators, in order, of a model that :func:`read_model` has read."""
    model = root(data, b"TFL3")
    kinds = [_operator_name(code) for code in model.tables(1)]
    return tuple(kinds[table.integer(0, "I")] for table in model.tables(2)[0].tables(3))


def _read(data: bytes, name: str) -> Graph:
    model = root(data, b"TFL3")
    version = model.integer(0, "I")
    if version != 3:
        raise ModelError(f"the model has schema version {version}, not 3; export it with TensorFlow 2.")
    subgraphs = model.tables(2)
    if len(subgraphs) != 1:
        raise ModelError(f"the model has {len(subgraphs)} subgraphs, not 1; export it without control flow.")
    subgraph = subgraphs[0]
    buffers = model.tables(4)
    tensors = {i: _tensor(i, table, buffers) for i, table in enumerate(subgraph.tables(0))}
    kinds = [_operator_name(code) for code in model.tables(1)]
    inputs, outputs = (
        [_index(int(i), tensors, what) for i in subgraph.array(field, "i4")]
        for field, what in ((1, "an input"), (2, "an output"))
    )
    if len(inputs) != 1 or len(outputs) != 1:
        raise UnsupportedOpError(
            f"the model has {len(inputs)} inputs and {len(outputs)} outputs; tinydeploy compiles one of each."
        )
    if tensors[inputs[0]].data is not None:
        raise ModelError("the model's input is a constant; export the model again.")
    nodes = [_node(i, table, kinds, tensors) for i, table in enumerate(subgraph.tables(3))]
    if not nodes:
        raise ModelError("the model has no operators; export the model again.")
    ops = tuple(op for node in nodes for op in _ops(node))
    _check_order(ops, inputs[0], outputs[0])
    if tensors[inputs[0]].dtype == "float32" and not any(op.kind == "QUANTIZE" for op in ops):
        raise ModelError("the model is float32, tinydeploy compiles int8; quantize it first (tinydeploy build does).")
    used = {inputs[0]} | {t for op in ops for t in (*op.inputs, op.output)}
    kept = {i: tensors[i] for i in sorted(used)}
    return verify(Graph(name, kept, ops, inputs[0], outputs[0], hashlib.sha256(data).hexdigest()))


def _check_order(ops: tuple[Op, ...], first: int, last: int) -> None:
    """Every tensor is written once, before it is read."""
    written = {first}
    for op in ops:
        for tensor in op.inputs:
            if tensor not in written:
                raise ModelError(f"operator {op.index} ({op.kind}) reads tensor {tensor} before it is written.")
        if op.output in written:
            raise ModelError(f"operator {op.index} ({op.kind}) writes tensor {op.output} a second time.")
        written.add(op.output)
    if last not in written or last == first:
        raise ModelError("the model's output is not computed; export the model again.")


def _operator_name(code: Table) -> str:
    # Files from before 2020 hold the code in the int8 field only; later ones hold both.
    number = max(code.integer(0, "b"), code.integer(3, "i"))
    if number == 32:
        return f"custom operator {code.string(1)!r}"
    return BUILTIN_OPERATORS[number] if 0 <= number < len(BUILTIN_OPERATORS) else f"operator code {number}"


def _index(index: int, tensors: dict[int, Tensor], what: str) -> int:
    if index not in tensors:
        raise ModelError(f"{what} is tensor {index}, the model has {len(tensors)}; export the model again.")
    return index


def _node(index: int, table: Table, kinds: list[str], tensors: dict[int, Tensor]) -> Node:
    code = table.integer(0, "I")
    if code >= len(kinds):
        raise ModelError(f"operator {index} has code {code}, the model has {len(kinds)}; export the model again.")
    inputs = [int(i) for i in table.array(1, "i4")]
    outputs = [int(i) for i in table.array(2, "i4")]
    what = f"operator {index} ({kinds[code]})'s tensor"
    for i in outputs:
        if tensors[_index(i, tensors, what)].data is not None:
            raise ModelError(f"operator {index} ({kinds[code]}) writes tensor {i}, a constant; export the model again.")
    return Node(
        kinds[code],
        index,
        tuple(tensors[_index(i, tensors, what)] if i != -1 else None for i in inputs),
        tuple(tensors[_index(i, tensors, what)] for i in outputs),
        table.table(4),
    )


def _ops(node: Node) -> tuple[Op, ...]:
    reader = READERS.get(node.kind)
    if reader is None:
        raise UnsupportedOpError(
            f"operator {node.index} is {node.kind}, which tinydeploy does not compile; it compiles "
            f"{', '.join(sorted(READERS))}."
        )
    # A layer that computes in floats is the common mistake: say so before its shape is looked at.
    for tensor in (*node.inputs, *node.outputs):
        if tensor is not None and tensor.dtype == "float32" and node.kind not in ("QUANTIZE", "DEQUANTIZE"):
            raise ModelError(
                f"operator {node.index} ({node.kind}) computes in float32, tinydeploy compiles int8; quantize the "
                "model to full int8."
            )
    ops = reader(node)
    return ops if isinstance(ops, tuple) else (ops,)


def _tensor(index: int, table: Table, buffers: list[Table]) -> Tensor:
    name = table.string(3)[:_MAX_NAME]
    sizes = table.array(0, "i4")
    if len(sizes) > _MAX_DIMENSIONS:
        raise ModelError(f"tensor {index} ({name!r}) has {len(sizes)} dimensions; export the model again.")
    shape = tuple(int(size) for size in sizes)
    dtype = _DTYPES.get(table.integer(1, "b"))
    if dtype is None:
        raise ModelError(f"tensor {index} ({name!r}) has type code {table.integer(1, 'b')}; tinydeploy compiles int8.")
    if any(size < 1 for size in shape) or math.prod(shape) > _MAX_ELEMENTS:
        raise ModelError(f"tensor {index} ({name!r}) has shape {shape}; export the model with fixed positive sizes.")
    tensor = Tensor(index, name, shape, dtype, _quant(index, table.table(4), shape))
    buffer = table.integer(2, "I")
    if buffer >= len(buffers):
        raise ModelError(f"tensor {index} ({name!r}) names buffer {buffer}, the model has {len(buffers)}.")
    content = buffers[buffer].bytes(0)
    if not content:
        return tensor
    if len(content) != tensor.size_bytes:
        raise ModelError(f"tensor {index} ({name!r}) needs {tensor.size_bytes} bytes, its buffer has {len(content)}.")
    values: NDArray[np.generic] = np.frombuffer(content, np.dtype(NUMPY_DTYPES[dtype]).newbyteorder("<"))
    return Tensor(index, name, shape, dtype, tensor.quant, values.reshape(shape))


def _quant(index: int, table: Table | None, shape: tuple[int, ...]) -> Quant | None:
    if table is None:
        return None
    scales = tuple(float(scale) for scale in table.array(2, "f4"))
    zero_points = tuple(int(zero) for zero in table.array(3, "i8"))
    if not scales:
        return None
    if not all(math.isfinite(scale) and scale > 0 for scale in scales):
        raise ModelError(f"tensor {index} has a scale that is not positive; quantize the model again.")
    if len(zero_points) != len(scales):
        raise ModelError(f"tensor {index} has {len(scales)} scales and {len(zero_points)} zero points.")
    axis = table.integer(6, "i")
    if len(scales) > 1 and (not 0 <= axis < len(shape) or shape[axis] != len(scales)):
        raise ModelError(f"tensor {index} has {len(scales)} scales along axis {axis} of shape {shape}.")
    return Quant(scales, zero_points, axis)
