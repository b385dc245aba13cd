"""Datasets: honest splits, folders and archives of images, and a sentence for all that can be wrong with them."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinydeploy import datasets
from tinydeploy.datasets import Dataset
from tinydeploy.errors import DatasetError, UsageError

COLOURS = {"green": (0, 200, 0), "red": (200, 0, 0)}
ANY_CIFAR = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10-jpg.tar.xz"


def save_image(path: Path, colour: tuple[int, int, int] | int = (9, 9, 9), size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)


def save_classes(root: Path, count: int = 10) -> Path:
    for name, colour in COLOURS.items():
        for number in range(count):
            red, green, blue = colour
            save_image(root / name / f"{number:03}.png", (red, green, blue + number))
    return root


def pack(root: Path, suffix: str) -> Path:
    """`root` as an archive beside it, in no particular order."""
    archive = root.with_name(f"{root.name}{suffix}")
    files = sorted(root.rglob("*"), reverse=True)
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for file in files:
                packed.write(file, file.relative_to(root.parent))
    else:
        with tarfile.open(archive, "w" + suffix.removeprefix(".tar").replace(".", ":")) as packed:
            for file in files:
                packed.add(file, f"./{file.relative_to(root.parent)}", recursive=False)
    return archive


def load(path: Path, input_size: int = 20, channels: int | None = None) -> Dataset:
    return datasets.load(None, data=path, input_size=input_size, channels=channels)


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


# Class folders


def test_class_folders_become_labels_in_alphabetical_order(tmp_path: Path) -> None:
    found = load(save_classes(tmp_path))
    assert found.class_names == ("green", "red")
    assert (len(found.train), len(found.validation), len(found.test)) == (14, 2, 4)
    for split in (found.train, found.validation, found.test):
        assert (split.images[split.labels == 0, 0, 0, 1] == 200).all()
        assert (split.images[split.labels == 1, 0, 0, 0] == 200).all()


def test_the_folders_own_splits_are_kept_and_validation_comes_out_of_train(tmp_path: Path) -> None:
    save_classes(tmp_path / "train", 20)
    save_classes(tmp_path / "test", 6)
    found = load(tmp_path)
    assert (len(found.train), len(found.validation), len(found.test)) == (36, 4, 12)
    assert "validation from train" in found.split_note


def test_a_validation_folder_is_used_where_there_is_one(tmp_path: Path) -> None:
    for split, count in (("train", 9), ("val", 5), ("test", 6)):
        save_classes(tmp_path / split, count)
    found = load(tmp_path)
    assert (len(found.train), len(found.validation), len(found.test)) == (18, 10, 12)


def test_images_of_many_sizes_are_brought_to_the_input_size(tmp_path: Path) -> None:
    save_classes(tmp_path)
    save_image(tmp_path / "red" / "wide.jpg", (200, 0, 0), (90, 31))
    save_image(tmp_path / "red" / "tiny.png", (200, 0, 0), (3, 5))
    assert load(tmp_path, input_size=24).train.images.shape[1:] == (24, 24, 3)


def test_images_of_one_small_size_keep_it(tmp_path: Path) -> None:
    assert load(save_classes(tmp_path), input_size=96).train.images.shape[1:] == (20, 20, 3)


def test_grey_images_stay_grey_unless_rgb_is_asked_for(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number in range(6):
            save_image(tmp_path / name / f"{number}.png", 40 * number)
    assert load(tmp_path).channels == 1
    assert load(tmp_path, channels=3).channels == 3


def test_one_colour_image_makes_the_data_rgb(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number in range(6):
            save_image(tmp_path / name / f"{number}.png", 40 * number)
    save_image(tmp_path / "a" / "colour.png", (1, 2, 3))
    assert load(tmp_path).channels == 3


def test_sixteen_bit_transparent_and_rotated_images_are_read(tmp_path: Path) -> None:
    save_classes(tmp_path)
    Image.fromarray(np.full((20, 20), 51 * 257, np.uint16)).save(tmp_path / "red" / "deep.png")
    Image.new("RGBA", (20, 20), (200, 0, 0, 90)).save(tmp_path / "red" / "clear.png")
    turned = Image.new("RGB", (10, 20), (200, 0, 0))
    exif = turned.getexif()
    exif[0x0112] = 6  # the camera was held upright
    turned.save(tmp_path / "red" / "turned.jpg", exif=exif)
    assert len(load(tmp_path).train) > 14


def test_hidden_files_and_files_above_the_classes_are_passed_over(tmp_path: Path) -> None:
    save_classes(tmp_path)
    for name in ("README.txt", "red/.DS_Store", "red/Thumbs.db"):
        (tmp_path / name).write_text("not an image")
    assert len(load(tmp_path).train) == 14


def test_a_folder_inside_a_class_belongs_to_it(tmp_path: Path) -> None:
    save_classes(tmp_path)
    for number in range(10):
        save_image(tmp_path / "red" / "second camera" / f"{number}.png", (200, 1, 1))
    assert load(tmp_path).class_names == ("green", "red")


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".zip"])
def test_an_archive_holds_the_same_data_as_its_folder(tmp_path: Path, suffix: str) -> None:
    root = save_classes(tmp_path / "flags")
    (root / "README").write_text("colours")
    assert load(pack(root, suffix)).digest() == load(root).digest()


# What can be wrong


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere does not exist; give a folder of class folders"):
        load(tmp_path / "nowhere")


def test_an_empty_folder_is_told_how_it_should_be_laid_out(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no class folders of images; lay it out as .*<class>/<image>"):
        load(tmp_path)


def test_images_without_class_folders_are_told_the_same(tmp_path: Path) -> None:
    save_image(tmp_path / "0.png")
    with pytest.raises(DatasetError, match="holds no class folders"):
        load(tmp_path)


def test_a_single_class_is_no_classification(tmp_path: Path) -> None:
    for number in range(9):
        save_image(tmp_path / "only" / f"{number}.png")
    with pytest.raises(DatasetError, match=r"holds 1 class folder.*at least 2"):
        load(tmp_path)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_class_with_too_few_images_is_named(tmp_path: Path, count: int) -> None:
    save_classes(tmp_path)
    (tmp_path / "blue").mkdir()
    for number in range(count):
        save_image(tmp_path / "blue" / f"{number}.png", (0, 0, 200))
    with pytest.raises(DatasetError, match=rf"class 'blue' has {count} image\(s\).*at least 5 .*add images or remove"):
        load(tmp_path)


def test_a_class_that_the_test_folder_lacks_is_named(tmp_path: Path) -> None:
    save_classes(tmp_path / "train")
    save_classes(tmp_path / "test")
    for number in range(9):
        save_image(tmp_path / "train" / "blue" / f"{number}.png", (0, 0, 200))
    with pytest.raises(DatasetError, match=r"test: class 'blue' has 0 image"):
        load(tmp_path)


def test_a_test_folder_without_a_train_folder_is_refused(tmp_path: Path) -> None:
    save_classes(tmp_path / "test")
    with pytest.raises(DatasetError, match="no train folder"):
        load(tmp_path)


def test_files_that_are_no_images_are_listed(tmp_path: Path) -> None:
    save_classes(tmp_path)
    for number in range(5):
        (tmp_path / "red" / f"notes{number}.txt").write_text("red is a colour")
    with pytest.raises(DatasetError, match=r"no readable image: red/notes0.txt, .* and 2 more; repair or remove"):
        load(tmp_path)


@pytest.mark.parametrize("kept", [0, 10, 60, 0.5, 0.98])
def test_a_truncated_image_is_listed(tmp_path: Path, kept: float) -> None:
    save_classes(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    file = tmp_path / "red" / "cut.jpg"
    Image.fromarray(pixels).save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(DatasetError, match=r"no readable image: red/cut\.jpg"):
        load(tmp_path)


def test_what_cannot_be_read_is_left_out_and_listed_if_asked(tmp_path: Path) -> None:
    save_classes(tmp_path)
    (tmp_path / "red" / "notes.txt").write_text("red is a colour")
    (tmp_path / "green" / "cut.png").write_bytes((tmp_path / "green" / "000.png").read_bytes()[:50])
    found = datasets.load(None, data=tmp_path, input_size=20, skip_corrupt=True)
    assert found.skipped == ("green/cut.png", "red/notes.txt")
    assert len(found.train) + len(found.validation) + len(found.test) == 20


def test_a_class_is_too_small_without_what_was_left_out(tmp_path: Path) -> None:
    save_classes(tmp_path, 5)
    (tmp_path / "red" / "000.png").write_text("not an image")
    with pytest.raises(DatasetError, match=r"class 'red' has 4 image"):
        datasets.load(None, data=tmp_path, skip_corrupt=True)


def test_classes_out_of_balance_are_said(tmp_path: Path) -> None:
    save_classes(tmp_path)
    assert load(tmp_path).imbalance() is None
    for number in range(30):
        save_image(tmp_path / "green" / f"more{number}.png", (0, 200, number))
    found = load(tmp_path)
    assert found.counts() == {"train": [28, 7], "validation": [4, 1], "test": [8, 2]}
    sentence = found.imbalance()
    assert sentence is not None
    assert "28 training images of 'green', 7 of 'red'" in sentence


def test_mutated_images_never_raise_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    files = []
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)).save(stream, kind)
        files.append(stream.getvalue())
    for number in range(300):
        data = bytearray(files[number % len(files)])
        for _ in range(int(rng.integers(1, 9))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        found = datasets.decode(bytes(data))
        assert found is None or (found.dtype == np.uint8 and found.shape[-1] in (1, 3))


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".zip"])
def test_a_truncated_archive_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    archive = pack(save_classes(tmp_path / "flags"), suffix)
    data = archive.read_bytes().rstrip(b"\0")  # the padding of a plain .tar
    archive.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DatasetError, match=r"is damaged|neither a folder nor a .tar or .zip"):
        load(archive)


@pytest.mark.parametrize("block", [4, 10, 20])
def test_a_tar_with_a_bad_header_inside_is_named(tmp_path: Path, block: int) -> None:
    """tarfile on its own would end there, as if the archive held no more."""
    archive = pack(save_classes(tmp_path / "flags"), ".tar")
    data = bytearray(archive.read_bytes())
    data[512 * block : 512 * block + 512] = b"\x55" * 512
    archive.write_bytes(data)
    with pytest.raises(DatasetError, match=r"is damaged|no readable image"):
        load(archive)


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("1,2,3")
    with pytest.raises(DatasetError, match=r"data.csv is neither a folder nor a .tar or .zip archive"):
        load(file)


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


# Arrays


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
        (lambda a: a | {"inputs": a["inputs"][0]}, r"inputs is \(7, 5\); it must be"),
        (lambda a: a | {"inputs": a["inputs"].reshape(40, 7, 5, 1).repeat(2, 3)}, r"it must be \(N, height, width\)"),
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


# Telling whether the data changed


def test_the_stamp_changes_with_the_files(tmp_path: Path) -> None:
    save_classes(tmp_path)
    before = datasets.stamp(None, data=tmp_path)
    assert datasets.stamp(None, data=tmp_path) == before
    save_image(tmp_path / "red" / "000.png", (201, 0, 0))
    os.utime(tmp_path / "red" / "000.png", ns=(1, 1))
    assert datasets.stamp(None, data=tmp_path) != before


def test_the_digest_changes_with_a_pixel(tmp_path: Path) -> None:
    before = load(save_classes(tmp_path)).digest()
    save_image(tmp_path / "red" / "000.png", (201, 0, 0))
    assert load(tmp_path).digest() != before
