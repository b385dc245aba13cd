"""Interrupted trainings go on bit for bit; schedule, patience, decay and augmentation do as they say."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinydeploy import datasets, zoo
from tinydeploy.augment import augmenter
from tinydeploy.checkpoint import Epoch
from tinydeploy.datasets import Augmentation, Dataset, Recipe, Split
from tinydeploy.distill import Teacher, digest_of
from tinydeploy.progress import Progress, Watcher, ignore_progress
from tinydeploy.trainer import optimizer_for, train
from tinydeploy.training_loop import schedule

SPEC = zoo.ModelSpec("resnet", 0.1, 8, 1, 10)
RECIPE = Recipe(
    epochs=3,
    learning_rate=1e-2,
    augmentation=Augmentation(shift=0.1, rotation=5, cutout=0.25, mixup=0.2, background=0),
    dropout=0.2,
    label_smoothing=0.1,
    weight_decay=0.02,
    batch_size=32,
)
STEPS = 4


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Few digits, and a recipe in which everything is random that can be."""
    every = datasets.load("digits")
    few = Split(every.train.images[: 32 * STEPS], every.train.labels[: 32 * STEPS])
    return dataclasses.replace(every, train=few, recipe=RECIPE)


def run(
    data: Dataset, checkpoint: Path | None = None, progress: Watcher = ignore_progress, **changes: Any
) -> tuple[list[np.ndarray], tuple[Epoch, ...]]:
    wanted = {"epochs": RECIPE.epochs, "seed": 3, **changes}
    model, history = train(SPEC, data, checkpoint=checkpoint, progress=progress, **wanted)
    return model.get_weights(), history


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def interrupt_at(epoch: int, step: int) -> Watcher:
    def watch(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (epoch, step):
            raise KeyboardInterrupt

    return watch


@pytest.fixture(scope="module")
def whole(data: Dataset) -> tuple[list[np.ndarray], tuple[Epoch, ...]]:
    return run(data)


@pytest.mark.parametrize(("epoch", "step"), [(1, 1), (2, 3), (3, 3)], ids=["first step", "in between", "last epoch"])
def test_an_interrupted_training_ends_as_if_it_had_not_been(
    data: Dataset, whole: tuple[list[np.ndarray], tuple[Epoch, ...]], tmp_path: Path, epoch: int, step: int
) -> None:
    file = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        run(data, file, interrupt_at(epoch, step))
    seen: list[Progress] = []
    weights, history = run(data, file, seen.append)
    assert (seen[0].epoch, seen[0].step) == (epoch, step + 1)
    assert same(weights, whole[0])
    assert history == whole[1]


def test_a_crash_in_the_last_epoch_goes_on_from_its_beginning(
    data: Dataset, whole: tuple[list[np.ndarray], tuple[Epoch, ...]], tmp_path: Path
) -> None:
    def crash(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (RECIPE.epochs, 2):
            raise RuntimeError

    file = tmp_path / "checkpoint.npz"
    with pytest.raises(RuntimeError):
        run(data, file, crash)
    seen: list[Progress] = []
    weights, _ = run(data, file, seen.append)
    assert (seen[0].epoch, seen[0].step) == (RECIPE.epochs, 1)
    assert same(weights, whole[0])


def test_a_real_ctrl_c_waits_for_the_end_of_the_step(
    data: Dataset, whole: tuple[list[np.ndarray], tuple[Epoch, ...]], tmp_path: Path
) -> None:
    def press(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (2, 1):
            os.kill(os.getpid(), signal.SIGINT)

    file = tmp_path / "checkpoint.npz"
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(data, file, press)
    assert signal.getsignal(signal.SIGINT) is before
    assert same(run(data, file)[0], whole[0])


@pytest.mark.parametrize("changes", [{"seed": 4}, {"epochs": 4}])
def test_a_checkpoint_of_another_training_is_left_alone(data: Dataset, tmp_path: Path, changes: dict[str, int]) -> None:
    file = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        run(data, file, interrupt_at(2, 2), **changes)
    seen: list[Progress] = []
    run(data, file, seen.append)
    assert (seen[0].epoch, seen[0].step) == (1, 1)


def test_a_damaged_checkpoint_is_none(data: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        run(data, file, interrupt_at(1, 2))
    file.write_bytes(file.read_bytes()[:-500])
    seen: list[Progress] = []
    run(data, file, seen.append, epochs=1)
    assert (seen[0].epoch, seen[0].step) == (1, 1)


def test_patience_stops_and_keeps_the_best_epoch(data: Dataset, tmp_path: Path) -> None:
    """At a rate of nothing validation never improves: the first epoch is the best, and two more are waited for."""
    still = dataclasses.replace(data, recipe=dataclasses.replace(RECIPE, learning_rate=1e-12, patience=2))
    file = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        run(still, file, interrupt_at(3, 2), epochs=20)
    weights, history = run(still, file, epochs=20)
    first_is_best = max(history, key=lambda epoch: epoch.validation_accuracy) == history[0]
    assert first_is_best
    assert len(history) == 3
    assert same(run(still, epochs=20)[0], weights)


def test_the_learning_rate_warms_up_and_decays_to_nothing() -> None:
    rate = schedule(100, 2.0)
    rates = [rate(step) for step in range(100)]
    assert rates[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert all(a >= b for a, b in itertools.pairwise(rates[4:]))
    assert 0 < rates[-1] < 0.01


def test_weight_decay_spares_depthwise_kernels_and_scales(data: Dataset) -> None:
    model = zoo.build(zoo.ModelSpec("mobilenet_v2_compact", 0.1, 8, 1, 10))
    optimizer = optimizer_for(model, data)
    decayed = [v.path for v in model.trainable_variables if optimizer._use_weight_decay(v)]
    assert decayed
    assert all(path.endswith("/kernel") and "depthwise" not in path for path in decayed)
    spared = {v.path for v in model.trainable_variables} - set(decayed)
    assert any("depthwise" in path and path.endswith("kernel") for path in spared)


# Augmentation


def augmented(images: np.ndarray, **limits: Any) -> np.ndarray:
    distort = augmenter(Augmentation(**limits))
    return np.asarray(distort(images.astype(np.float32), np.array([1, 2], np.int32)))


def ramp(count: int = 16, rows: int = 8, columns: int = 8) -> np.ndarray:
    one = np.arange(1, 1 + rows * columns, dtype=np.float32).reshape(1, rows, columns, 1)
    return np.repeat(one, count, axis=0)


def test_a_crop_moves_by_whole_pixels_over_the_background() -> None:
    images = ramp(rows=6, columns=12)
    moved = augmented(images, shift=0.25, background=0)
    assert set(np.unique(moved)) <= {0.0, *np.unique(images)}
    steps = {tuple(np.argwhere(one[..., 0] == one.max())[0]) for one in moved}
    assert len(steps) > 3


def test_a_flip_mirrors_some_images_and_leaves_the_others() -> None:
    images = ramp()
    flipped = augmented(images, flip=True)
    mirrored = [np.array_equal(one, image[:, ::-1]) for one, image in zip(flipped, images, strict=True)]
    kept = [np.array_equal(one, image) for one, image in zip(flipped, images, strict=True)]
    assert any(mirrored)
    assert any(kept)
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))


def test_cutout_hides_one_square_of_its_size() -> None:
    images = ramp(32, 16, 16)
    cut = augmented(images, cutout=0.25, background=0)
    hidden = [int(np.sum(one == 0)) for one in cut]
    assert max(hidden) == 16
    assert min(hidden) >= 4
    assert all(np.all((one == 0) | (one == image)) for one, image in zip(cut, images, strict=True))


def test_nothing_asked_is_nothing_done() -> None:
    assert np.array_equal(augmented(ramp()), ramp())


# Distillation


def test_a_student_follows_its_teacher(data: Dataset) -> None:
    """Without labels of its own (weight 1) it comes to agree with the teacher, and not without one."""
    teacher_model, _ = train(SPEC, data, epochs=6, seed=9)
    teacher = Teacher(teacher_model, "teacher", digest_of(teacher_model), weight=1.0)
    plain = dataclasses.replace(data, recipe=dataclasses.replace(RECIPE, augmentation=Augmentation(), dropout=0.0))

    def apart(model: Any) -> float:
        from tinydeploy.preprocess import Preprocess

        images = Preprocess(8, 1).real(data.train.images)
        return float(teacher.loss(images, model(images, training=False)))

    untaught, _ = train(SPEC, plain, epochs=6, seed=1)
    taught, _ = train(SPEC, plain, epochs=6, seed=1, teacher=teacher)
    assert apart(taught) < 0.8 * apart(untaught)
