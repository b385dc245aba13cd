"""Reading a project folder back: what is found, and what is said when something is missing or broken."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.link.projects import small_model, write_project

from tinydeploy.errors import UsageError
from tinydeploy.project import MANIFEST, find_project, load_project, record_last_build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_project(tmp_path / "build" / "host-small", small_model())
    return tmp_path / "build" / "host-small"


def test_a_project_is_read_back(folder: Path) -> None:
    project = load_project(folder)
    assert project.model() == small_model()
    assert project.input.shape == (1, 9, 8, 3)
    assert [step.index for step in project.steps] == [0, 1, 2, 3]
    samples = project.samples()
    assert samples.inputs.shape == (6, 1, 9, 8, 3)
    assert samples.labels is not None
    assert samples.labels.shape == (6,)


def test_the_folder_given_comes_first_then_the_current_one_then_the_last_build(folder: Path) -> None:
    root = folder.parent.parent
    with pytest.raises(UsageError, match="no project here and none was built from here; run tinydeploy build"):
        find_project(cwd=root)
    record_last_build(folder, root)
    assert find_project(cwd=root).folder == root / "build" / "host-small"
    assert find_project(cwd=folder).folder == folder
    other = write_project(root / "other", small_model()).folder
    assert find_project(other, cwd=folder).folder == other
    record_last_build(other, root)
    assert find_project(cwd=root).folder.resolve() == other
    (other / MANIFEST).unlink()
    with pytest.raises(UsageError, match=r"the last build, .*other, is gone"):
        find_project(cwd=root)


def test_recording_the_same_build_again_writes_nothing(folder: Path) -> None:
    root = folder.parent.parent
    record_last_build(folder, root)
    before = (root / "build" / ".last").stat().st_mtime_ns
    record_last_build(folder, root)
    assert (root / "build" / ".last").stat().st_mtime_ns == before
    assert [path.name for path in (root / "build").glob(".*")] == [".last"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, empty, Path.unlink], ids=["truncated", "empty", "missing"])
@pytest.mark.parametrize("name", [MANIFEST, "model.tflite", "samples.npz"])
def test_a_damaged_file_is_named(folder: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(folder / name)

    def read() -> None:
        project = load_project(folder)
        project.model()
        project.samples()

    with pytest.raises(UsageError, match=rf"{name}.*run tinydeploy build"):
        read()


def test_an_unbuilt_project_has_no_elf(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"firmware\.elf is missing; run make in"):
        _ = load_project(folder).elf


def test_samples_of_another_shape_are_refused(folder: Path) -> None:
    np.savez(folder / "samples.npz", inputs=np.zeros((3, 8, 8, 3), np.int8))
    with pytest.raises(UsageError, match=r"inputs of int8 \(3, 8, 8, 3\), the model takes int8 \(1, 9, 8, 3\)"):
        load_project(folder).samples()
    np.savez(folder / "samples.npz", inputs=np.zeros((3, 9, 8, 3), np.int8), labels=np.zeros(2))
    with pytest.raises(UsageError, match="3 inputs but 2 labels"):
        load_project(folder).samples()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "format 2, this tinydeploy reads 1"),
        ("macs", "many", "macs is wrong"),
        ("macs", True, "macs is wrong"),
        ("steps", {}, "steps is wrong"),
        ("steps", [3], r"steps\[0\]. is not an object"),
        ("steps", [{"index": 0}], r"steps\[0\].name is missing"),
        ("input", {"tensor": 0, "name": "", "shape": ["a"]}, r"input.shape is wrong"),
        ("accuracy", {"int8": "good"}, r"accuracy.int8 is wrong"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, key: str, value: object, message: str) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(UsageError, match=message):
        load_project(folder)


def test_no_damage_to_the_manifest_gives_a_traceback(folder: Path) -> None:
    path = folder / MANIFEST
    good = path.read_bytes()
    chance = random.Random(1)
    for _ in range(500):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 8)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        path.write_bytes(data)
        try:
            load_project(folder)
        except UsageError:
            continue
