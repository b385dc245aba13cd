"""The datasets that have names, digits, CIFAR-10 and Fashion-MNIST: honest splits, and what to do without them."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.pictures import save_classes

from tinydeploy import datasets
from tinydeploy.errors import DatasetError, UsageError

ANY_CIFAR = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10-jpg.tar.xz"


def as_set(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


# Digits


def test_digits_split_by_class_into_parts_that_share_no_image() -> None:
    digits = datasets.load("digits")
    sizes = [len(split) for split in (digits.train, digits.validation, digits.test)]
    assert sum(sizes) == 1797
    assert sizes[2] == pytest.approx(0.2 * 1797, abs=5)
    parts = [as_set(split.images) for split in (digits.train, digits.validation, digits.test)]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    for split in (digits.train, digits.validation, digits.test):
        counts = np.bincount(split.labels, minlength=10)
        assert counts.max() - counts.min() <= 0.1 * len(split)


def test_digits_use_the_whole_range_of_a_pixel() -> None:
    digits = datasets.load("digits")
    assert digits.train.images.shape[1:] == (8, 8, 1)
    assert (digits.train.images.min(), digits.train.images.max()) == (0, 255)
    assert digits.class_names == tuple("0123456789")


def test_digits_are_the_same_every_time() -> None:
    assert datasets.load("digits").digest() == datasets.load("digits").digest()


def test_an_unknown_dataset_comes_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"unknown dataset 'digit'; did you mean 'digits'\?"):
        datasets.load("digit")
    with pytest.raises(UsageError, match=r"no dataset; choose --dataset digits"):
        datasets.load(None)


def test_digits_take_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave --data away"):
        datasets.load("digits", data=tmp_path)


# CIFAR-10


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_a_download_without_a_network_says_what_to_do_instead(tmp_path: Path, name: str) -> None:
    script = (
        "from tinydeploy import datasets, errors\n"
        f"try: datasets.load({name!r})\n"
        "except errors.DatasetError as error: print(error)"
    )
    nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    environment = os.environ | nowhere | {"KERAS_HOME": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert f"{name} could not be downloaded" in done.stdout
    assert "give a copy with --data" in done.stdout
    assert "--dataset digits" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_folder_of_something_else_is_not_cifar10(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not hold CIFAR-10's ten classes"):
        datasets.load("cifar10", data=save_classes(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(not ANY_CIFAR.exists(), reason=f"no {ANY_CIFAR}")
def test_cifar10_from_an_archive_of_jpegs() -> None:
    found = datasets.load("cifar10", data=ANY_CIFAR, input_size=32)
    assert (len(found.train), len(found.validation), len(found.test)) == (45_000, 5_000, 10_000)
    assert (np.bincount(found.test.labels) == 1_000).all()
    assert (np.bincount(found.validation.labels) == 500).all()
    assert found.train.images.shape[1:] == (32, 32, 3)


# Fashion-MNIST


def save_idx(folder: Path, name: str, values: np.ndarray, packed: bool = False) -> None:
    sizes = np.array(values.shape, ">u4").tobytes()
    data = bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()
    if packed:
        (folder / f"{name}.gz").write_bytes(gzip.compress(data))
    else:
        (folder / name).write_bytes(data)


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    """The published files, with few pictures."""
    for prefix, count in (("train", 200), ("t10k", 50)):
        labels = np.arange(count) % 10
        images = np.broadcast_to((25 * labels)[:, None, None], (count, 28, 28))
        save_idx(tmp_path, f"{prefix}-images-idx3-ubyte", images, packed=prefix == "train")
        save_idx(tmp_path, f"{prefix}-labels-idx1-ubyte", labels)
    return tmp_path


def test_fashion_mnist_from_its_published_files(fashion: Path) -> None:
    found = datasets.load("fashion_mnist", data=fashion)
    assert (len(found.train), len(found.validation), len(found.test)) == (180, 20, 50)
    assert found.train.images.shape[1:] == (28, 28, 1)
    assert (found.test.images[:, 3, 4, 0] == 25 * found.test.labels).all()
    assert found.class_names[9] == "Ankle boot"


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("t10k-images-idx3-ubyte", lambda data: data[:-1], "is damaged"),
        ("t10k-images-idx3-ubyte", lambda data: b"", "is damaged"),
        ("train-images-idx3-ubyte.gz", lambda data: data[:99], "is damaged"),
        ("t10k-labels-idx1-ubyte", lambda data: data[:8] + b"\xff" + data[9:], "do not belong together"),
    ],
)
def test_damaged_fashion_mnist_is_named(fashion: Path, name: str, change: Callable[[bytes], bytes], said: str) -> None:
    (fashion / name).write_bytes(change((fashion / name).read_bytes()))
    with pytest.raises(DatasetError, match=said):
        datasets.load("fashion_mnist", data=fashion)


def test_a_missing_file_of_fashion_mnist_is_named(fashion: Path) -> None:
    (fashion / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetError, match=r"has no t10k-labels-idx1-ubyte\(.gz\)"):
        datasets.load("fashion_mnist", data=fashion)


def test_a_folder_of_something_else_is_not_fashion_mnist(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds 2 classes, Fashion-MNIST has 10; leave --dataset away"):
        datasets.load("fashion_mnist", data=save_classes(tmp_path))
