"""Training, quantization and evaluation: the same seed gives the same bytes, and nothing is left behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tinydeploy import datasets, oracle, zoo
from tinydeploy.datasets import Dataset, Split
from tinydeploy.errors import ModelError, UsageError
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.depthwise import DepthwiseConv2D
from tinydeploy.preprocess import Preprocess
from tinydeploy.progress import Progress
from tinydeploy.quantize import quantize
from tinydeploy.tflite import read_model
from tinydeploy.train import TrainedModel, train, train_and_quantize

EPOCHS = 3
SPEC = zoo.ModelSpec("mobilenet_v1", 0.25, 20, 1, 10)


def part(split: Split, count: int) -> Split:
    chosen = np.random.default_rng(0).permutation(len(split))[:count]
    return Split(split.images[chosen], split.labels[chosen])


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Few digits, for short trainings."""
    every = datasets.load("digits")
    return dataclasses.replace(every, train=part(every.train, 640), validation=part(every.validation, 50))


@pytest.fixture(scope="module")
def watched(digits: Dataset) -> tuple[TrainedModel, list[Progress]]:
    seen: list[Progress] = []
    return train_and_quantize(SPEC, digits, epochs=EPOCHS, seed=5, progress=seen.append), seen


@pytest.fixture(scope="module")
def trained(watched: tuple[TrainedModel, list[Progress]]) -> TrainedModel:
    return watched[0]


def test_training_learns(trained: TrainedModel) -> None:
    assert trained.history[-1].loss < trained.history[0].loss
    assert len(trained.history) == EPOCHS


def test_a_seed_gives_the_same_bytes_whatever_is_held_out(trained: TrainedModel, digits: Dataset) -> None:
    """Training and calibration repeat exactly, and do not look at the test and validation splits, swapped here."""
    swapped = dataclasses.replace(digits, validation=digits.test, test=digits.validation)
    again = train_and_quantize(SPEC, swapped, epochs=EPOCHS, seed=5)
    assert again.tflite == trained.tflite
    assert [epoch.loss for epoch in again.history] == [epoch.loss for epoch in trained.history]


def test_the_watcher_sees_every_step_and_stage(watched: tuple[TrainedModel, list[Progress]]) -> None:
    _, seen = watched
    training = [one for one in seen if one.stage == "train"]
    steps = training[0].steps
    assert [(one.epoch, one.step) for one in training] == [
        (epoch, step) for epoch in range(1, EPOCHS + 1) for step in range(1, steps + 1)
    ]
    assert all((one.validation_accuracy is not None) == (one.step == steps) for one in training)
    assert all(one.loss is not None and one.epochs == EPOCHS for one in training)
    assert [one.stage for one in seen[-2:]] == ["quantize", "evaluate"]


def test_an_interrupt_stops_the_training_and_leaves_nothing(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train_and_quantize(SPEC, digits, epochs=EPOCHS, seed=0, progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_fewer_images_than_a_batch_still_train_and_nothing_is_printed(
    digits: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    few = dataclasses.replace(digits, train=part(digits.train, 11))
    _, history = train(SPEC, few, epochs=1, seed=0)
    assert np.isfinite(history[0].loss)
    assert capfd.readouterr() == ("", "")


def test_epochs_out_of_range_are_refused(digits: Dataset) -> None:
    with pytest.raises(UsageError, match="--epochs 0 is out of range"):
        train(SPEC, digits, epochs=0, seed=0)


def test_classes_that_do_not_match_the_data_are_refused(digits: Dataset) -> None:
    with pytest.raises(UsageError, match="digits has 10 classes, the network 3"):
        train_and_quantize(dataclasses.replace(SPEC, classes=3), digits)


# The quantized model


def test_the_model_is_int8_through_and_through_and_nothing_but_its_layers(trained: TrainedModel) -> None:
    graph = read_model(trained.tflite, "m")
    kinds = {"conv": "CONV_2D", "depthwise": "DEPTHWISE_CONV_2D", "global_average_pool": "MEAN"}
    kinds |= {"dense": "FULLY_CONNECTED", "softmax": "SOFTMAX"}
    layers = zoo.describe(SPEC)
    assert [(op.name, op.kind) for op in graph.ops] == [(layer.name, kinds[layer.op]) for layer in layers]
    assert [graph.tensors[op.output].shape[-1] for op in graph.ops] == [layer.output_shape[-1] for layer in layers]
    assert graph.macs == zoo.footprint(layers).macs
    assert sum(op.weights_bytes for op in graph.ops) == zoo.footprint(layers).weights_bytes
    for index in (graph.input, graph.output):
        assert (graph.tensors[index].dtype, graph.tensors[index].shape[0]) == ("int8", 1)


def test_weights_are_quantized_per_channel(trained: TrainedModel) -> None:
    graph = read_model(trained.tflite, "m")
    convolutions = [op for op in graph.ops if isinstance(op, Conv2D | DepthwiseConv2D)]
    assert len(convolutions) == 27
    for op in convolutions:
        assert len({*op.requant.mantissa.tolist()}) > 1, op.name


def test_the_input_is_the_pixel_minus_128(trained: TrainedModel) -> None:
    graph = read_model(trained.tflite, "m")
    quant = graph.tensors[graph.input].quantization
    assert (quant.scale, quant.zero_point) == (1 / 128, 0)


def test_the_accuracy_is_that_of_the_samples_which_come_along(trained: TrainedModel) -> None:
    outputs = oracle.run(trained.tflite, trained.test_inputs)
    assert trained.int8_accuracy == np.mean(outputs.argmax(axis=1) == trained.test_labels)
    assert trained.test_inputs.dtype == np.int8
    assert len(trained.test_inputs) == trained.comparison.samples == 359


def test_a_model_that_the_converter_refuses_is_an_error_in_one_line() -> None:
    import keras

    image = keras.layers.Input((4, 4, 1), batch_size=1)
    model = keras.Model(image, keras.layers.UpSampling2D(interpolation="lanczos5")(image))
    with pytest.raises(ModelError, match="converter refused the model") as caught:
        quantize(model, np.zeros((3, 4, 4, 1), np.uint8), Preprocess(4, 1))
    assert "\n" not in str(caught.value)
