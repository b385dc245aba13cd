"""Anomalies by reconstruction: what is normal, how detection is measured, and an autoencoder from data to board."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.pictures import save_image

from tinydeploy import datasets
from tinydeploy.build import Request, build
from tinydeploy.errors import DatasetError
from tinydeploy.evaluate import auc, by_error, reconstruction_errors
from tinydeploy.method import Method

LENGTH = 24


def machine(count: int, broken: bool, seed: int) -> np.ndarray:
    """Features of a machine: two hidden causes and some noise; broken, another one comes in."""
    rng = np.random.default_rng(seed)
    shapes = np.random.default_rng(9).normal(size=(3, LENGTH))
    causes = rng.normal(size=(count, 3)) * (1, 1, 5 if broken else 0)
    return (causes @ shapes + 0.1 * rng.normal(size=(count, LENGTH))).astype(np.float32)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As such data comes: normal sounds to train on, both kinds for the test."""
    file = tmp_path_factory.mktemp("data") / "machine.npz"
    np.savez(
        file,
        inputs=machine(600, False, 1),
        labels=np.zeros(600, int),
        test_inputs=np.concatenate([machine(60, False, 2), machine(60, True, 3)]),
        test_labels=np.repeat([0, 1], 60),
        class_names=np.array(["normal", "broken"]),
    )
    return file


# What is normal


def test_only_the_normal_class_is_learned(features: Path) -> None:
    found = datasets.load(None, data=features, anomalies=True)
    assert found.class_names == ("normal", "anomalous")
    assert found.train.images.shape[1:] == (LENGTH, 1, 1)
    assert not found.train.labels.any()
    assert not found.validation.labels.any()
    assert np.bincount(found.test.labels).tolist() == [60, 60]
    assert found.imbalance() is None
    assert "trained on 'normal' alone" in found.split_note


def test_a_classifier_does_not_go_without_a_class_in_training(features: Path) -> None:
    with pytest.raises(DatasetError, match=r"class 'broken' has 0 image"):
        datasets.load(None, data=features)


def test_normal_is_a_class_of_that_name_and_else_the_first(tmp_path: Path) -> None:
    for name in ("cracked", "normal"):
        for number in range(10):
            save_image(tmp_path / name / f"{number}.png", 9 * number)
    found = datasets.load(None, data=tmp_path, anomalies=True)
    assert (len(found.train), np.bincount(found.test.labels).tolist()) == (7, [2, 2])
    assert "trained on 'normal' alone" in found.split_note
    assert "trained on '0' alone" in datasets.load("digits", anomalies=True).split_note


def test_without_an_anomaly_to_test_there_is_nothing_to_measure(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number in range(9):
            save_image(tmp_path / split / "normal" / f"{number}.png", 9 * number)
    for number in range(9):
        save_image(tmp_path / "train" / "cracked" / f"{number}.png", 9 * number)
    with pytest.raises(DatasetError, match="has no test sample but of 'normal'"):
        datasets.load(None, data=tmp_path, anomalies=True)


# How detection is measured


def test_the_auc_counts_pairs_in_the_right_order() -> None:
    scores, positive = np.array([1.0, 2.0, 2.0, 3.0, 0.0]), np.array([False, False, True, True, True])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert auc(scores, positive) == np.mean(pairs) == (1 + 0.5 + 1 + 1) / 6


def test_the_limit_lets_most_normal_samples_pass() -> None:
    normal = np.arange(101) / 100
    verdict = by_error(np.array([0.1, 0.94, 0.96, 7.0]), normal)
    assert verdict.limit == pytest.approx(0.95)
    assert verdict.predictions.tolist() == [0, 0, 1, 1]


def test_the_error_is_the_mean_square() -> None:
    given = reconstruction_errors(np.array([[0.0, 1.0]], np.float32), np.array([[2.0, 1.0]], np.float32))
    assert given.tolist() == [2.0]


# From data to board


@pytest.mark.slow
def test_an_autoencoder_tells_what_is_broken(features: Path, tmp_path: Path) -> None:
    method = Method(epochs=12, qat=True, qat_epochs=1)
    request = Request(
        "stm32f746", arch="autoencoder", alpha=0.25, data=features, method=method, out=tmp_path / "project"
    )
    assert request.name == "autoencoder_0.25_machine_qat"
    training = build(request).manifest["training"]
    assert training["spec"]["input_size"] == LENGTH
    assert training["auc"]["float"] > 0.9
    assert training["auc"]["int8"] > training["auc"]["float"] - 0.02
    assert training["history"][-1]["validation_accuracy"] > 0.3  # of the variance comes again
    manifest = json.loads((tmp_path / "project/tinydeploy.json").read_text())
    assert manifest["accuracy"] is None
    with np.load(tmp_path / "project/samples.npz") as samples:
        assert samples["inputs"].shape == (120, LENGTH)
        assert "labels" not in samples
    report = " ".join((tmp_path / "project/report.html").read_text().split())
    assert "area under the ROC curve" in report
    assert "times the limit" in report
