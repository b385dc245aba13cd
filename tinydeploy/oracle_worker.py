"""The process that hosts TFLite Micro: requests come on stdin, replies go to stdout, TFLM's own words to stderr.

Run as a script by ``oracle.py``; imports nothing of tinydeploy, so that it starts quickly from any folder. TFLM aborts
the process on models that it dislikes, which is why it lives here. Messages, little-endian, both ways: a u32 length, a
JSON header of that length, then the raw bytes which the header's sizes announce.

request   {"all_tensors": bool, "model_bytes": n, "input_bytes": n, "count": N}, the model, N inputs back to back
reply     {"arrays": [{"tensor": i, "dtype": s, "shape": [..]}]}, the arrays back to back; or {"error": sentence}
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, BinaryIO

import numpy as np

# The arena is reserved, not touched: the larger size costs only on models that need it.
ARENA_SIZES_BYTES = (32 << 20, 512 << 20)


def read_message(stream: BinaryIO) -> dict[str, Any] | None:
    """The next header, or None at the end of the stream."""
    size = stream.read(4)
    if len(size) < 4:
        return None
    header: dict[str, Any] = json.loads(stream.read(struct.unpack("<I", size)[0]))
    return header


def write_message(stream: BinaryIO, header: dict[str, Any], *payload: bytes | memoryview) -> None:
    """Write one header and the bytes that it announces."""
    text = json.dumps(header).encode()
    stream.write(struct.pack("<I", len(text)) + text)
    for part in payload:
        stream.write(part)
    stream.flush()


def _interpreter(model: bytes, all_tensors: bool) -> Any:
    from tflite_micro.python.tflite_micro import runtime  # here: a missing wheel must become a reply

    configs = runtime.InterpreterConfig
    config = configs.kPreserveAllTensors if all_tensors else configs.kAllocationRecording
    for arena_bytes in ARENA_SIZES_BYTES[:-1]:
        try:
            return runtime.Interpreter.from_bytes(model, arena_size=arena_bytes, intrepreter_config=config)
        except RuntimeError:
            continue  # too small, or a model that fails at any size: the last try tells
    return runtime.Interpreter.from_bytes(model, arena_size=ARENA_SIZES_BYTES[-1], intrepreter_config=config)


def _activation_tensors(model: bytes) -> list[int]:
    """Indices of the tensors of the main subgraph that an operator writes, and of its inputs."""
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    graph = schema.Model.GetRootAsModel(model, 0).Subgraphs(0)
    found = {graph.Inputs(i) for i in range(graph.InputsLength())}
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        found.update(op.Outputs(k) for k in range(op.OutputsLength()))
    return sorted(found)


def _evaluate(model: bytes, inputs: bytes, count: int, all_tensors: bool) -> list[tuple[int, Any]]:
    """(tensor index, array) pairs; for outputs the index is -1 and the first dimension is `count`."""
    interpreter = _interpreter(model, all_tensors)
    details = interpreter.get_input_details(0)
    shape, dtype = tuple(int(n) for n in details["shape"]), np.dtype(details["dtype"])
    size_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size_bytes * count != len(inputs):
        raise ValueError(f"the model takes {size_bytes} B ({shape} of {dtype}), got {len(inputs)} B for {count} inputs")
    batch = np.frombuffer(inputs, dtype).reshape(count, *shape)
    if all_tensors:
        interpreter.set_input(batch[0], 0)
        interpreter.invoke()
        return [(i, interpreter.GetTensor(i, 0)["tensor_data"]) for i in _activation_tensors(model)]
    details = interpreter.get_output_details(0)
    outputs = np.empty((count, *details["shape"]), details["dtype"])
    for i in range(count):
        interpreter.set_input(batch[i], 0)
        interpreter.invoke()
        outputs[i] = interpreter.get_output(0)
    return [(-1, outputs)]


def main() -> None:
    """Serve requests until stdin ends."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever TFLM prints to stdout must not land between replies
    while (header := read_message(requests)) is not None:
        model = requests.read(header["model_bytes"])
        inputs = requests.read(header["input_bytes"])
        try:
            results = _evaluate(model, inputs, header["count"], header["all_tensors"])
        except ImportError as error:
            write_message(replies, {"missing": str(error)})
            continue
        except Exception as error:
            write_message(replies, {"error": str(error)})
            continue
        described = [{"tensor": i, "dtype": a.dtype.str, "shape": list(a.shape)} for i, a in results]
        payload = [np.ascontiguousarray(a).tobytes() for _, a in results]
        write_message(replies, {"arrays": described}, *payload)


if __name__ == "__main__":
    main()
