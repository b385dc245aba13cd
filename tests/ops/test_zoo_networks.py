"""The zoo's architectures, quantized by TensorFlow's converter: generated C on a virtual core equals TFLite Micro."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from support.compiled import build_core, make_unit

from tinydeploy import zoo
from tinydeploy.convert_worker import convert
from tinydeploy.cores import CORES
from tinydeploy.oracle import Oracle
from tinydeploy.zoo import ModelSpec

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("unicorn") is None, reason="needs unicorn"),
    pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow"),
]

# As small as they get without losing a kind of layer.
NETWORKS = (
    ModelSpec("mobilenet_v1", 0.15, 20, 1, 5),
    ModelSpec("mobilenet_v2", 0.05, 20, 3, 5),
    ModelSpec("mobilenet_v2", 0.2, 20, 3, 5, (("linear-bottleneck", "off"), ("residual", "off"))),
    ModelSpec("mobilenet_v2_compact", 0.25, 12, 3, 5),
    ModelSpec("separable", 0.1, 12, 3, 5),
    ModelSpec("xception", 0.1, 20, 3, 5),
    ModelSpec("shufflenet_v1", 0.1, 20, 3, 5, (("groups", "2"),)),
    ModelSpec("shufflenet_v2", 0.1, 20, 3, 5),
    ModelSpec("resnet", 0.25, 12, 3, 5),
    ModelSpec("resnet", 0.125, 12, 3, 5, (("depth", "11"), ("bottleneck", "on"))),
    ModelSpec("resnext", 0.25, 12, 3, 5, (("cardinality", "2"),)),
    *(ModelSpec("inception", 0.25, 8, 3, 5, (("module", module),)) for module in ("v1", "v2", "v3", "v4", "resnet")),
    ModelSpec("ds_cnn", 0.1, 20, 1, 5, input_width=10),
    ModelSpec("autoencoder", 0.1, 64, 1, 2),
)
SAMPLES = 3


def quantized(spec: ModelSpec, rng: np.random.Generator) -> tuple[bytes, tuple[int, ...]]:
    """The .tflite of fresh weights, and its input's shape. Batch normalization has seen one batch, so that the signal
    reaches the end as it does in a trained network."""
    model = zoo.build(spec, batch_size=1, softmax=True)
    shape = tuple(model.inputs[0].shape[1:])
    images = rng.normal(size=(8, *shape)).astype(np.float32)
    warm = zoo.build(spec, softmax=True)
    for layer in warm.layers:
        if hasattr(layer, "momentum"):
            layer.momentum = 0.0
    warm(images, training=True)
    model.set_weights(warm.get_weights())
    return convert(model, images), shape


@pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: spec.name)
def test_a_quantized_network_of_the_zoo_is_exact_on_a_virtual_core(
    spec: ModelSpec, oracle: Oracle, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    data, shape = quantized(spec, rng)
    inputs = rng.integers(-128, 128, (SAMPLES, *shape), np.int8)
    want = np.ascontiguousarray(oracle.run(data, inputs)).reshape(SAMPLES, -1).view(np.uint8)
    assert len(np.unique(want)) > 2, "the outputs say nothing"
    core = CORES["m4"]
    (got,) = build_core([make_unit(spec.name, data, core)], core, tmp_path).run([inputs])
    np.testing.assert_array_equal(got, want)
