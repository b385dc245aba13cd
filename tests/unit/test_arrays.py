"""Arrays in an .npz as data: images and features, and a sentence for all that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinydeploy import datasets
from tinydeploy.datasets import Dataset
from tinydeploy.errors import DatasetError


def arrays(count: int = 40, dtype: str = "int8", shape: tuple[int, ...] = (7, 5)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    inputs = rng.uniform(-3, 9, (count, *shape)) if dtype[0] == "f" else rng.integers(-5, 99, (count, *shape))
    if dtype == "uint8":
        inputs = inputs + 5
    return {"inputs": inputs.astype(dtype), "labels": np.arange(count) % 4}


def load_arrays(where: Path, **stored: np.ndarray) -> Dataset:
    file = where / "keywords.npz"
    np.savez(file, **stored)
    return datasets.load(None, data=file)


def test_int8_features_reach_the_device_as_they_are(tmp_path: Path) -> None:
    given = arrays()
    found = load_arrays(tmp_path, **given, class_names=np.array(["go", "no", "off", "on"]))
    assert found.class_names == ("go", "no", "off", "on")
    assert found.features == datasets.Features(1.0, 0)
    splits = (found.train, found.validation, found.test)
    assert [len(split) for split in splits] == [28, 4, 8]
    levels = {one.astype(np.int16).tobytes() for split in splits for one in split.images}
    assert levels == {(one.astype(np.int16) + 128)[..., None].tobytes() for one in given["inputs"]}


def test_float_features_are_quantized_by_the_range_of_the_training_inputs(tmp_path: Path) -> None:
    given = arrays(dtype="float32")
    wide = {f"test_{name}": value * np.float32(2) if name == "inputs" else value for name, value in given.items()}
    found = load_arrays(tmp_path, **given, **wide)
    assert found.features is not None
    assert (found.train.images.min(), found.train.images.max()) == (0, 255)
    real = (found.test.images.astype(float) - 128 - found.features.zero_point) * found.features.scale
    low, high = given["inputs"].min(), given["inputs"].max()
    wanted = np.clip(wide["test_inputs"][..., None], low, high)
    assert np.abs(real - wanted).max() <= 0.51 * found.features.scale
    assert found.split_note == f"as the file says; validation from train by class, seed {datasets.SPLIT_SEED}"


def test_uint8_arrays_are_images(tmp_path: Path) -> None:
    found = load_arrays(tmp_path, **arrays(dtype="uint8", shape=(6, 6, 3)))
    assert found.features is None
    assert found.channels == 3


def without(name: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda stored: {key: value for key, value in stored.items() if key != name}


def spoilt(inputs: np.ndarray) -> np.ndarray:
    inputs = inputs.astype(np.float32)
    inputs[3, 2, 1] = np.nan
    return inputs


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("labels"), "has no array 'labels'"),
        (without("inputs"), "has no array 'inputs'"),
        (lambda a: a | {"labels": a["labels"][:-1]}, "give an integer from 0 for each of the 40 inputs"),
        (lambda a: a | {"labels": a["labels"] - 1}, "give an integer from 0"),
        (lambda a: a | {"labels": a["labels"] / 2}, "give an integer from 0"),
        (lambda a: a | {"labels": a["labels"] * 0}, "needs at least 2"),
        (lambda a: a | {"labels": a["labels"] * 2}, r"class '1' has 0 image\(s\)"),
        (lambda a: a | {"inputs": a["inputs"][0, 0]}, r"inputs is \(5,\); it must be"),
        (lambda a: a | {"inputs": a["inputs"].reshape(40, 7, 5, 1).repeat(2, 3)}, r"it must be \(N, length\)"),
        (lambda a: a | {"inputs": a["inputs"].astype(np.int32)}, "inputs is int32; give uint8 images"),
        (lambda a: a | {"inputs": spoilt(a["inputs"])}, "values that are no numbers"),
        (lambda a: a | {"class_names": np.array(["go"])}, "there are 1 class_names, and labels up to 3"),
        (lambda a: a | {"test_inputs": a["inputs"][:, 1:], "test_labels": a["labels"]}, "differ in shape or type"),
    ],
)
def test_arrays_that_are_wrong_are_named(
    tmp_path: Path, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]], said: str
) -> None:
    with pytest.raises(DatasetError, match=said):
        load_arrays(tmp_path, **change(arrays()))


def test_a_damaged_npz_is_named(tmp_path: Path) -> None:
    load_arrays(tmp_path, **arrays())
    file = tmp_path / "keywords.npz"
    for data in (b"", b"words", file.read_bytes()[:300]):
        file.write_bytes(data)
        with pytest.raises(DatasetError, match=r"keywords.npz cannot be read as .npz"):
            datasets.load(None, data=file)
    with pytest.raises(DatasetError, match="does not exist"):
        datasets.load(None, data=tmp_path / "other.npz")
