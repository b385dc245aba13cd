"""Class folders and archives of them as data: layouts, splits, and a sentence for all that can be wrong."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.pictures import load, pack, save_classes, save_image

from tinydeploy import datasets
from tinydeploy.errors import DatasetError

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
