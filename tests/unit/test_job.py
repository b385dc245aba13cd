"""What is to be trained, how, and on what: options in range, teachers, keys; and one build with everything at once."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinydeploy import training_cache, zoo
from tinydeploy.build import Request, build
from tinydeploy.datasets import Augmentation, Recipe, digits
from tinydeploy.distill import load_teacher
from tinydeploy.errors import FitError, ModelError, UsageError
from tinydeploy.job import Job, obtain
from tinydeploy.method import Method
from tinydeploy.preprocess import Preprocess
from tinydeploy.progress import Progress, ignore_progress
from tinydeploy.training_report import png

GIVEN = Recipe(epochs=30, learning_rate=1e-2, augmentation=Augmentation(shift=0.1, flip=True, background=7))

# Options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "--epochs 0 is out of range; choose a value from 1 up"),
        ({"learning_rate": 0}, "--learning-rate 0 is out of range; choose a value above 0 and up to 1"),
        ({"learning_rate": float("nan")}, "--learning-rate nan is out of range"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"weight_decay": -1}, "--weight-decay -1"),
        ({"label_smoothing": 1.5}, "--label-smoothing 1.5"),
        ({"dropout": 1}, "--dropout 1"),
        ({"crop": 0.6}, "--crop 0.6"),
        ({"cutout": 2}, "--cutout 2"),
        ({"mixup": float("inf")}, "--mixup inf"),
        ({"patience": 0}, "--patience 0"),
        ({"qat": True, "qat_epochs": 0}, "--qat-epochs 0"),
        ({"qat_epochs": 3}, "--qat-epochs goes with --qat"),
        ({"temperature": 3}, "go with --teacher"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        Method(**options)


def test_what_is_asked_for_replaces_the_recipe_and_nothing_else() -> None:
    method = Method(epochs=5, weight_decay=0.1, patience=3, crop=0.0, flip=False, cutout=0.25, mixup=0.4)
    wanted = Augmentation(shift=0.0, flip=False, background=7, cutout=0.25, mixup=0.4)
    assert method.recipe(GIVEN) == Recipe(5, 1e-2, wanted, weight_decay=0.1, patience=3)
    assert Method().recipe(GIVEN) == GIVEN


def test_quantization_aware_training_takes_a_tenth_of_the_epochs() -> None:
    assert Method().tuning_epochs(40) is None
    assert Method(qat=True).tuning_epochs(40) == 4
    assert Method(qat=True).tuning_epochs(3) == 2
    assert Method(qat=True, qat_epochs=9).tuning_epochs(3) == 9


# Jobs


@pytest.mark.parametrize(
    ("job", "name"),
    [
        (Job(), "mobilenet_v1_0.25_48_digits"),
        (Job("ds_cnn", data=Path("kws.npz")), "ds_cnn_1_49x10_kws"),
        (Job("resnet", options=(("depth", "20"),), dataset="cifar10", method=Method(qat=True)), "_cifar10_qat"),
    ],
)
def test_a_job_has_a_name_for_its_files(job: Job, name: str) -> None:
    assert job.name.endswith(name)


def test_the_key_changes_with_whatever_the_training_depends_on(tmp_path: Path) -> None:
    teacher = tmp_path / "big.keras"
    teacher.write_bytes(b"one")
    jobs = [
        Job(),
        Job(seed=1),
        Job(alpha=0.5),
        Job(dataset="cifar10"),
        Job(method=Method(flip=False)),
        Job(method=Method(teacher=str(teacher))),
        Job("resnet", options=(("depth", "14"),)),
    ]
    keys = [job.key() for job in jobs]
    assert len(set(keys)) == len(keys)
    assert [job.key() for job in jobs] == keys
    teacher.write_bytes(b"another")
    assert jobs[5].key() != keys[5]


def test_the_key_changes_with_the_datasets_own_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer tinydeploy may bring another; what was trained by the old one is not what it trains."""
    before = Job().key()
    monkeypatch.setattr(digits, "RECIPE", dataclasses.replace(digits.RECIPE, batch_size=64))
    assert Job().key() != before


def refuse(spec: zoo.ModelSpec) -> None:
    raise FitError(f"{spec.name} does not fit")


def get(job: Job, cache: Path, **changes: Any) -> Any:
    wanted = {"progress": ignore_progress, "stage": lambda text: None} | changes
    return obtain(job, cache, **wanted)


def test_what_does_not_fit_is_refused_before_the_data_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"mobilenet_v1_0\.25_48 does not fit"):
        get(Job(dataset="cifar10"), tmp_path, require_fit=refuse)


def test_an_autoencoder_has_no_teacher(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="autoencoder gives no classes that --teacher could teach"):
        get(Job("autoencoder", method=Method(teacher="resnet/1")), tmp_path)


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ("gone.keras", "there is no teacher gone.keras"),
        ("resnet/9", "--teacher resnet/9: --alpha 9 is out of range"),
        ("resnet/wide", "'resnet/wide' is no network; give ARCH/ALPHA"),
        ("resnet:depth/1", "is no network"),
        ("resent/1", "--teacher resent/1: unknown architecture 'resent'; did you mean 'resnet'?"),
        ("resnet:depth=9/1", "--teacher resnet:depth=9/1: --depth 9 is not for resnet"),
    ],
)
def test_teachers_that_cannot_be_are_named(tmp_path: Path, teacher: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        get(Job("resnet", alpha=0.25, input_size=(8, 0), method=Method(teacher=teacher)), tmp_path)


def test_a_teacher_file_must_be_a_keras_model_of_the_same_shape(tmp_path: Path) -> None:
    file = tmp_path / "teacher.keras"
    file.write_text("no model")
    with pytest.raises(ModelError, match="cannot be read as a Keras model"):
        load_teacher(file, Preprocess(8, 1), 10)
    zoo.build(zoo.ModelSpec("separable", 0.1, 8, 3, 4)).save(file)
    with pytest.raises(ModelError, match="maps 8x8x3 to 4, the student 8x8x1 to 10; give a teacher of the same input"):
        load_teacher(file, Preprocess(8, 1), 10)


def test_probabilities_of_a_teacher_become_logits(tmp_path: Path) -> None:
    file, spec = tmp_path / "teacher.keras", zoo.ModelSpec("separable", 0.1, 8, 1, 4)
    zoo.build(spec, softmax=True).save(file)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 1)).astype(np.float32)
    likely = np.exp(np.asarray(load_teacher(file, Preprocess(8, 1), 4)(images)))
    assert np.allclose(likely.sum(axis=1), 1, atol=1e-4)
    assert np.allclose(likely, np.asarray(zoo.build(spec, softmax=True)(images)), atol=1e-4)


# A build with a teacher, quantization-aware training, and features


@pytest.fixture(scope="module")
def keywords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three words of 12x8 float features, one of them rare."""
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(3), (70, 60, 10))
    inputs = rng.normal(0, 1, (len(labels), 12, 8))
    inputs += 2.5 * (np.arange(12)[None, :, None] // 4 == labels[:, None, None])
    file = tmp_path_factory.mktemp("words") / "keywords.npz"
    np.savez(file, inputs=inputs.astype(np.float32), labels=labels, class_names=np.array(["yes", "no", "<stop>"]))
    return file


@pytest.fixture(scope="module")
def project(keywords: Path) -> tuple[Path, list[str]]:
    """Built once, after an interrupt in the last epoch."""
    stages: list[str] = []
    request = Request(
        "stm32f746",
        arch="ds_cnn",
        alpha=0.1,
        data=keywords,
        out=keywords.parent / "out/project",
        method=Method(epochs=3, qat=True, qat_epochs=1, teacher="ds_cnn/0.2", mixup=0.2),
    )

    def interrupt(progress: Progress) -> None:
        trains_student = any(text.startswith("train    ds_cnn_0.1") for text in stages)
        if trains_student and progress.epoch == progress.epochs == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(request, progress=interrupt, stage=stages.append)
    stages.append("again")
    return build(request, stage=stages.append).folder, stages


def test_an_interrupted_build_goes_on_where_it_stopped(project: tuple[Path, list[str]]) -> None:
    folder, stages = project
    again = stages[stages.index("again") :]
    assert any(
        "train    ds_cnn_0.1_12x8 on 98 images of keywords, going on from a checkpoint" in text for text in again
    )
    assert any(text.startswith("train    taken from the cache") for text in again), "the teacher"
    assert not list((folder.parent / ".trained").rglob("checkpoint*"))


def test_the_manifest_tells_how_it_was_trained(project: tuple[Path, list[str]]) -> None:
    folder, stages = project
    training = json.loads((folder / "tinydeploy.json").read_text())["training"]
    assert training["teacher"] == "ds_cnn_0.2_12x8"
    assert training["split_counts"]["train"] == [49, 42, 7]
    assert training["split_seed"] == 0
    assert training["features"]["scale"] > 0
    assert (len(training["history"]), len(training["tuning"])) == (3, 1)
    assert training["recipe"]["augmentation"]["mixup"] == 0.2
    assert {layer["name"] for layer in training["noise"]} > {"conv", "conv_pw_4", "classifier"}
    assert all(layer["sqnr_db"] is None or layer["sqnr_db"] > 5 for layer in training["noise"])
    (said,) = [text for text in training["warnings"] if "out of balance" in text]
    assert f"warning  {said}" in stages
    assert not (folder / "model/model_preprocess.h").exists()


class Page(html.parser.HTMLParser):
    """Checks that every element is closed, and collects what could lead elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_stands_alone_and_says_it_all(project: tuple[Path, list[str]]) -> None:
    text = (project[0] / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert not page.open
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not re.search(r"https?://|url\(|@import|<script|<link", text)
    assert "prefers-color-scheme: dark" in text
    assert text.count("<svg") == 2
    said = " ".join(page.text.split())
    for wanted in ("out of balance", "ds_cnn_0.2_12x8", "then 1 with int8", "conv_pw_4", "<stop>", "keywords.npz"):
        assert wanted in said, wanted


def test_the_report_is_the_same_every_time(project: tuple[Path, list[str]]) -> None:
    from tinydeploy.training_report import training_report

    folder = project[0]
    (kept,) = [
        p.parent for p in (folder.parent / ".trained").rglob("training.json") if '"ds_cnn_0.2_12x8"' in p.read_text()
    ]
    trained = training_cache.load(kept)
    assert trained is not None
    manifest = json.loads((folder / "tinydeploy.json").read_text())
    assert training_report(trained, manifest) == (folder / "report.html").read_text()


def test_features_are_not_resized(keywords: Path, tmp_path: Path) -> None:
    job = Job("ds_cnn", 0.1, (16, 8), data=keywords, method=Method(epochs=1))
    with pytest.raises(UsageError, match=r"features of 12x8x1, which cannot be resized to 16x8x1; leave --input-size"):
        get(job, tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_whole_pngs(channels: int) -> None:
    import io

    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)
