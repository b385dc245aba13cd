"""Quantization-aware training: the graph that is trained computes what the converted int8 network computes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinydeploy import datasets, oracle, zoo
from tinydeploy.datasets import Augmentation, Dataset, Recipe, Split
from tinydeploy.errors import UsageError
from tinydeploy.graph import Graph
from tinydeploy.progress import Progress
from tinydeploy.qat import INPUT_RANGE, QuantizedNetwork, scale_groups
from tinydeploy.quantize import quantize, quantize_trained
from tinydeploy.tflite import read_model
from tinydeploy.trainer import Evaluator, preprocess_of, train, tune

ARCHITECTURES = [
    zoo.ModelSpec("mobilenet_v1", 0.25, 17, 1, 10),
    zoo.ModelSpec("mobilenet_v2_compact", 0.5, 12, 3, 4),
    zoo.ModelSpec("shufflenet_v2", 0.25, 32, 1, 5),
    zoo.ModelSpec("inception", 0.25, 16, 1, 5),
    zoo.ModelSpec("resnext", 0.25, 8, 3, 4),
    zoo.ModelSpec("xception", 0.25, 16, 1, 5),
]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A network with fake quantization, and what the converter made of it."""

    network: QuantizedNetwork
    graph: Graph
    tflite: bytes
    images: np.ndarray  # int8, as the device takes them


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=lambda spec: spec.arch)
def pair(request: pytest.FixtureRequest) -> Pair:
    """Random weights, but batch normalization that has seen data: activations of a sound size in every layer."""
    spec: zoo.ModelSpec = request.param
    pixels = np.random.default_rng(1).integers(0, 256, (64, *spec.input_shape)).astype(np.uint8)
    preprocess = preprocess_of(spec)
    real = preprocess.real(pixels)
    model = zoo.build(spec, seed=2)
    for _ in range(40):
        model(real, training=True)
    network = QuantizedNetwork(spec, model, real)
    tflite = quantize_trained(network.export())
    images = preprocess.quantized(pixels[:4], INPUT_RANGE.scale, 0)
    return Pair(network, read_model(tflite, spec.arch), tflite, images)


def named(pair: Pair) -> dict[str, Any]:
    """The converted tensors by the layer that they are; a shuffle is its last operator."""
    layers = {layer.name for layer in zoo.describe(pair.network.spec)}
    return {op.name: pair.graph.tensors[op.output] for op in pair.graph.ops if op.name in layers}


def test_the_folded_network_is_the_keras_model(pair: Pair) -> None:
    real = pair.images.astype(np.float32) / 128
    logits = list(pair.network.activations(real, quantized=False).values())[-1]
    theirs = np.asarray(pair.network.model(real, training=False))
    assert np.allclose(logits, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def test_the_converters_scales_are_the_trained_ones(pair: Pair) -> None:
    ranges, tensors = pair.network.ranges(), named(pair)
    assert len(tensors) > len(ranges) / 2
    for name in tensors.keys() & ranges.keys():
        quant, trained = tensors[name].quantization, ranges[name]
        assert quant.scale == pytest.approx(trained.scale, rel=1e-6), name
        assert quant.zero_point == round(-128 - trained.low / trained.scale), name
    source = pair.graph.tensors[pair.graph.input].quantization
    assert (source.scale, source.zero_point) == (1 / 128, 0)


def test_every_layer_alone_gives_tflms_values_within_one_step(pair: Pair) -> None:
    """Given the same int8 inputs. TFLM rounds a fixed-point product, float32 another one: what lies near the middle of
    two steps may fall either way, which happens to fewer than 2 in 100 values."""
    tensors, parted, values = named(pair), 0, 0
    for image in pair.images:
        theirs = oracle.run_all_tensors(pair.tflite, image)
        real = {
            name: (theirs[tensor.index].astype(np.float32) - tensor.quantization.zero_point)
            * np.float32(tensor.quantization.scale)
            for name, tensor in tensors.items()
            if tensor.index in theirs
        }
        source = image[np.newaxis].astype(np.float32) / 128
        ours = pair.network.activations(source, quantized=True, instead=real)
        for name in real.keys() & ours.keys():
            apart = np.abs(ours[name].reshape(-1) - real[name].reshape(-1)) / tensors[name].quantization.scale
            assert apart.max() < 1.01, name
            parted, values = parted + int(np.sum(apart > 0.5)), values + apart.size
    assert parted < 0.02 * values


def test_the_trained_logits_are_the_exported_ones(pair: Pair) -> None:
    real = pair.images.astype(np.float32) / 128
    exported = list(pair.network.activations(real, quantized=True).values())[-1]
    assert np.allclose(np.asarray(pair.network.logits(real)), exported, rtol=0, atol=1e-5)


def test_what_is_only_moved_or_chosen_shares_its_scale() -> None:
    groups = scale_groups(zoo.describe(zoo.ModelSpec("shufflenet_v2", 0.25, 32, 1, 5)))
    stage = {group for name, group in groups.items() if name.startswith("stage2") and "shuffle" in name}
    assert len(stage) == 1
    assert groups["pool"] == groups["conv"] == "conv"
    assert groups["stage2_2_split_1"] == groups["stage2_2_concat"] == groups["stage2_2_b"]
    assert groups["conv_last"] != groups["stage4_4_shuffle"]


# Training on


@pytest.fixture(scope="module")
def digits() -> Dataset:
    every = datasets.load("digits")
    few = Split(every.train.images[:192], every.train.labels[:192])
    return dataclasses.replace(every, train=few, recipe=RECIPE)


DISTORTION = Augmentation(shift=0.08, rotation=12, zoom=0.12, background=0)
RECIPE = Recipe(epochs=6, learning_rate=1e-2, augmentation=DISTORTION, label_smoothing=0.1)
SMALL = zoo.ModelSpec("resnet", 0.25, 8, 1, 10)


def prepared(digits: Dataset) -> QuantizedNetwork:
    model, _ = train(SMALL, digits, epochs=2, seed=1)
    preprocess = preprocess_of(SMALL)
    return QuantizedNetwork(SMALL, model, preprocess.real(preprocess.resize(digits.train.images[:64])))


def test_training_on_moves_weights_and_ranges_but_no_statistics_and_resumes(digits: Dataset, tmp_path: Path) -> None:
    whole = prepared(digits)
    begun, ranges = whole.digest(), whole.ranges()
    statistics = [w.numpy() for w in whole.model.non_trainable_variables]
    history = tune(whole, digits, epochs=2, seed=1)
    assert len(history) == 2
    assert whole.ranges() != ranges
    assert whole.ranges()["input"] == ranges["input"] == INPUT_RANGE
    after = [w.numpy() for w in whole.model.non_trainable_variables]
    assert all(np.array_equal(a, b) for a, b in zip(statistics, after, strict=True))

    def interrupt(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (2, 1):
            raise KeyboardInterrupt

    resumed, file = prepared(digits), tmp_path / "checkpoint.npz"
    assert resumed.digest() == begun
    with pytest.raises(KeyboardInterrupt):
        tune(resumed, digits, epochs=2, seed=1, checkpoint=file, progress=interrupt)
    again = prepared(digits)
    tune(again, digits, epochs=2, seed=1, checkpoint=file)
    assert again.digest() == whole.digest()


def test_epochs_out_of_range_are_refused(digits: Dataset) -> None:
    with pytest.raises(UsageError, match="--qat-epochs 0 is out of range"):
        tune(prepared(digits), digits, epochs=0, seed=1)


def spread(model: Any, factor: float) -> None:
    """Channels of very different sizes between two convolutions, which float does not notice: one scale for all of
    them leaves the small ones few steps."""
    for stage in (1, 2, 3):
        norm, following = model.get_layer(f"stage{stage}_1_a_norm"), model.get_layer(f"stage{stage}_1_b_kernel")
        factors = np.geomspace(1, factor, norm.gamma.shape[0]).astype(np.float32)
        norm.gamma.assign(norm.gamma * factors)
        norm.beta.assign(norm.beta * factors)
        following.kernel.assign(following.kernel / factors[:, np.newaxis])


@pytest.mark.slow
def test_half_of_what_calibration_loses_comes_back() -> None:
    data = datasets.load("digits")
    data = dataclasses.replace(data, recipe=RECIPE)
    preprocess = preprocess_of(SMALL)
    model, _ = train(SMALL, data, epochs=6, seed=1)
    spread(model, 128.0)
    as_float = Evaluator(lambda images: model(images, training=False), preprocess).accuracy(data.test)
    inputs = preprocess.quantized(preprocess.resize(data.test.images), INPUT_RANGE.scale, 0)

    def accuracy(tflite: bytes) -> float:
        return float(np.mean(oracle.run(tflite, inputs).argmax(axis=-1) == data.test.labels))

    export = zoo.build(SMALL, batch_size=1, softmax=True)
    export.set_weights(model.get_weights())
    calibration = preprocess.resize(data.train.images[:256])
    calibrated = accuracy(quantize(export, calibration, preprocess))
    network = QuantizedNetwork(SMALL, model, preprocess.real(calibration))
    tune(network, data, epochs=4, seed=0)
    assert as_float - calibrated > 0.02
    assert accuracy(quantize_trained(network.export())) >= (as_float + calibrated) / 2
