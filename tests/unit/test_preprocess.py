"""Preprocessing: a table from pixels to int8, and a resize that is exact in integers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinydeploy.preprocess import Preprocess, _resize_weights, to_channels


def random_images(count: int, rows: int, columns: int, channels: int) -> np.ndarray:
    return np.random.default_rng(rows * columns).integers(0, 256, (count, rows, columns, channels)).astype(np.uint8)


def test_with_the_scale_that_quantization_arranges_the_table_subtracts_128() -> None:
    table = Preprocess(48, 1).lookup_table(1 / 128, 0)
    assert table.dtype == np.int8
    assert table.tolist() == list(range(-128, 128))


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 128, 3), (0.0078, -1), (0.02, 5), (1 / 64, 0), (0.001, 0)])
def test_the_table_is_the_nearest_int8_of_the_real_value(scale: float, zero_point: int) -> None:
    preprocess = Preprocess(16, 1)
    table = preprocess.lookup_table(scale, zero_point).astype(int)
    every_value = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    real = preprocess.real(every_value).ravel().astype(np.float64)
    unclamped = real / scale + zero_point
    inside = (unclamped > -128) & (unclamped < 127)
    assert np.abs(table - unclamped)[inside].max() <= 0.5
    assert set(table[~inside]) <= {-128, 127}
    assert (np.diff(table) >= 0).all()


def test_halves_are_rounded_away_from_zero() -> None:
    """As TFLite's QUANTIZE does: pixels 127 and 129 lie half a step of 1/64 below and above zero."""
    assert Preprocess(48, 1).lookup_table(1 / 64, 0)[[127, 129]].tolist() == [-1, 1]


def test_quantized_images_are_looked_up_pixel_by_pixel() -> None:
    images = random_images(2, 5, 5, 3)
    assert (Preprocess(5, 3).quantized(images, 1 / 128, 0) == images.astype(int) - 128).all()


def test_an_image_at_the_input_size_is_left_as_it_is() -> None:
    images = random_images(3, 24, 24, 3)
    assert (Preprocess(24, 3).resize(images) == images).all()


@pytest.mark.parametrize(("side", "size"), [(8, 48), (8, 32), (32, 48), (100, 48), (61, 17), (48, 47), (300, 20)])
def test_resizing_is_within_a_grey_level_or_two_of_pillows(side: int, size: int) -> None:
    (image,) = random_images(1, side, side, 1)
    ours = Preprocess(size, 1).resize(image[np.newaxis])[0, ..., 0].astype(int)
    theirs = np.asarray(Image.fromarray(image[..., 0]).resize((size, size), Image.Resampling.BILINEAR)).astype(int)
    # Weights in 1/256: over a wide triangle the rounded weights add up to another level or two.
    assert np.abs(ours - theirs).max() <= (2 if side < 100 else 6)
    assert abs((ours - theirs).mean()) < 0.6


@pytest.mark.parametrize(("side", "size"), [(8, 48), (57, 40), (3, 224), (224, 3)])
def test_resizing_in_float32_equals_integer_arithmetic(side: int, size: int) -> None:
    images = random_images(2, side, side, 3)
    weights = _resize_weights(side, size).astype(np.int64)
    sums = np.einsum("oi,pj,nijc->nopc", weights, weights, images.astype(np.int64))
    assert (Preprocess(size, 3).resize(images) == (sums + 32768) // 65536).all()


@given(st.integers(1, 130), st.integers(1, 130), st.integers(0, 255))
def test_a_flat_image_stays_flat_at_every_size(side: int, size: int, level: int) -> None:
    flat = np.full((1, side, side, 1), level, np.uint8)
    assert (Preprocess(size, 1).resize(flat) == level).all()


def test_more_images_than_a_chunk_are_resized_alike() -> None:
    images = random_images(300, 6, 6, 1)
    resized = Preprocess(9, 1).resize(images)
    assert (resized[299] == Preprocess(9, 1).resize(images[299:])[0]).all()


def test_a_wide_image_is_cropped_to_its_central_square() -> None:
    image = np.zeros((1, 4, 8, 1), np.uint8)
    image[:, :, 2:6] = 255
    assert (Preprocess(4, 1).resize(image) == 255).all()


def test_grey_becomes_rgb_and_back_unchanged() -> None:
    grey = random_images(2, 4, 4, 1)
    assert (to_channels(to_channels(grey, 3), 1) == grey).all()


def test_rgb_becomes_grey_by_its_luma() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert to_channels(colours, 1)[0, :, 0].tolist() == [76, 150, 29]


def test_the_manifest_is_plain_json() -> None:
    assert json.loads(json.dumps(Preprocess(48, 1).to_manifest()))["input_size"] == 48
