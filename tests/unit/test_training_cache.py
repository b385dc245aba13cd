"""Cached trainings: what is damaged or half written is no training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.link.projects import small_model

from tinydeploy import training_cache

FACTS = {
    "classes": ["a", "b", "c", "d"],
    "float_accuracy": 0.75,
    "int8_accuracy": 0.5,
    "preprocess": {"input_size": 8, "channels": 1, "offset": 0.0, "divisor": 255.0},
    "input_scale": 1 / 255,
    "input_zero_point": -128,
    "features": None,
    "auc": None,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.tflite").write_bytes(small_model())
    arrays = {"inputs": np.zeros((2, 9, 8, 3), np.int8), "labels": np.array([1, 2])}
    np.savez(tmp_path / "samples.npz", outputs=np.ones((2, 4), np.int8), **arrays)
    (tmp_path / "training.json").write_text(json.dumps(FACTS))
    return tmp_path


def test_a_whole_training_is_taken(folder: Path) -> None:
    trained = training_cache.load(folder)
    assert trained is not None
    assert trained.tflite == small_model()
    assert trained.class_names == ("a", "b", "c", "d")
    assert (trained.float_accuracy, trained.int8_accuracy) == (0.75, 0.5)
    assert trained.labels.tolist() == [1, 2]
    assert trained.outputs.shape == (2, 4)
    table = trained.pixel_table()
    assert table is not None
    assert (table.dtype, table.tolist()) == (np.int8, list(range(-128, 128)))


def test_no_training_is_none(tmp_path: Path) -> None:
    assert training_cache.load(tmp_path / "none") is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in ("samples.npz", "training.json") for damage in (Path.unlink, cut, empty)]
    + [("model.tflite", Path.unlink)],
)
def test_a_damaged_training_is_none(name: str, damage: Callable[[Path], None], folder: Path) -> None:
    damage(folder / name)
    assert training_cache.load(folder) is None


def test_features_have_no_pixels(folder: Path) -> None:
    (folder / "training.json").write_text(json.dumps(FACTS | {"features": {"scale": 0.5, "zero_point": 3}}))
    trained = training_cache.load(folder)
    assert trained is not None
    assert trained.pixel_table() is None
