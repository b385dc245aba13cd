"""The process that hosts TFLite's converter, which leaks memory on every call and writes warnings straight to stderr.

Run by ``quantize.py`` as ``python -P convert_worker.py MODEL.keras CALIBRATION.npy OUTPUT.tflite``, or as
``python -P convert_worker.py GRAPH.pb OUTPUT.tflite`` for a frozen graph that carries its ranges as fake quantization;
imports nothing of tinydeploy. Models take float32 with a batch of 1; calibration is float32 (N, *input shape).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def convert(model: Any, calibration: Any) -> bytes:
    """`model` as a full-int8 .tflite: int8 input and output, weights per channel, ranges from `calibration`."""
    import tensorflow as tf

    def samples() -> Iterator[list[Any]]:
        for sample in calibration:
            yield [sample[np.newaxis]]

    converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(tf, model)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def convert_fake_quantized(graph_def: bytes) -> bytes:
    """A frozen graph from ``input`` to ``output`` as a full-int8 .tflite, its scales those of its fake quantization."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(graph_def)
    imported = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    output = imported.graph.get_operation_by_name("output").inputs[0]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([imported.prune("input:0", output.name)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _frozen(tf: Any, model: Any) -> Any:
    """`model` as a function of constants, its nodes under the names of the model's layers.

    Three times as fast as ``from_keras_model``, which goes through a SavedModel on disk.
    """
    # No public name leads here, but it is what the converter itself calls.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    image = tf.TensorSpec(model.inputs[0].shape, tf.float32, name="input")
    call = tf.function(lambda x: model(x, training=False))
    frozen = convert_variables_to_constants_v2(call.get_concrete_function(image))
    graph = frozen.graph.as_graph_def()
    # Keras enters each scope twice, so that TensorFlow numbers the second: conv_1/… for the layer conv.
    scopes = {f"{name}_1": name for name in (model.name, *(layer.name for layer in model.layers))}

    def layer_name(node: str) -> str:
        return "/".join(scopes.get(part, part) for part in node.split("/"))

    output = frozen.outputs[0].op.inputs[0].name  # beneath the Identity that every function ends in
    for node in graph.node:
        node.name = layer_name(node.name)
        node.input[:] = [layer_name(name) for name in node.input if not name.startswith("^")]  # constants need no order
    imported = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    return imported.prune(frozen.inputs[0].name, layer_name(output))


def main() -> None:
    """Convert the files that the command line names."""
    if len(sys.argv) == 3:
        graph_file, output_file = sys.argv[1:]
        Path(output_file).write_bytes(convert_fake_quantized(Path(graph_file).read_bytes()))
        return
    model_file, calibration_file, output_file = sys.argv[1:]
    import keras

    model = keras.models.load_model(model_file, compile=False)
    Path(output_file).write_bytes(convert(model, np.load(calibration_file)))


if __name__ == "__main__":
    main()
