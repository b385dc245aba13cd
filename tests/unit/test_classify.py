"""run: a picture as training prepares it, arrays and raw bytes, and what the model says of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.link.devices import device_on_a_pty
from support.link.projects import build_native, small_model, write_project

from tinydeploy.classify import classify, read_array, read_picture, run_json
from tinydeploy.errors import UsageError
from tinydeploy.preprocess import Preprocess
from tinydeploy.project import Project, StoredTensor, load_project
from tinydeploy.session import Session
from tinydeploy.transport import SerialTransport

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A model that came ready: its input is 9 x 8 RGB."""
    made = write_project(tmp_path_factory.mktemp("small"), small_model())
    build_native(made)
    return made


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(PIXELS).save(path)
    return path


def test_a_picture_goes_through_what_training_did(project: Project, picture: Path) -> None:
    """Another offset and divisor than is usual, so that nothing but the project's own can give the same."""
    own = Preprocess(9, 3, offset=100, divisor=50, input_width=8)
    tensor = dataclasses.replace(project.input, scale=0.04, zero_point=-3)
    trained = dataclasses.replace(project, preprocess=own, input=tensor)
    expected = own.quantized(own.resize(PIXELS[np.newaxis]), 0.04, -3)
    assert np.array_equal(read_picture(trained, picture), expected)


def test_without_training_pixels_span_the_input(project: Project, picture: Path) -> None:
    resized = Preprocess(9, 3, input_width=8).resize(PIXELS[np.newaxis])
    assert np.array_equal(read_picture(project, picture), resized.astype(np.int16) - 128)


def test_the_manifest_says_what_training_did(tmp_path: Path) -> None:
    own = Preprocess(9, 3, offset=100, divisor=50, input_width=8)
    training = {"preprocess": dict(own.to_manifest()), "features": None}
    assert write_project(tmp_path, small_model(), training=training).preprocess == own
    (tmp_path / "features").mkdir()
    features = {**training, "features": {"mean": 0}}
    assert write_project(tmp_path / "features", small_model(), training=features).preprocess is None


def test_arrays_of_every_kind_give_the_same_input(project: Project, tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(-128, 128, (9, 8, 3), np.int8)
    tensor = project.input
    assert tensor.scale is not None
    assert tensor.zero_point is not None
    np.save(tmp_path / "int8.npy", values)
    np.save(tmp_path / "float.npy", (values.astype(np.float64) - tensor.zero_point) * tensor.scale)
    np.save(tmp_path / "pixels.npy", (values.astype(np.int16) + 128).astype(np.uint8))
    (tmp_path / "raw").write_bytes(values.tobytes())
    for name in ("int8.npy", "float.npy", "pixels.npy", "raw"):
        assert read_array(project, tmp_path / name).tobytes() == values.tobytes(), name


def test_grey_pixels_may_lack_their_last_dimension(project: Project, tmp_path: Path) -> None:
    np.save(tmp_path / "grey.npy", PIXELS[..., 0])
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "grey.png")
    assert np.array_equal(read_array(project, tmp_path / "grey.npy"), read_picture(project, tmp_path / "grey.png"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.png", None, "cannot be read"),
        ("text.png", b"no picture", "is no picture"),
        ("short.bin", b"123", "has 3 B, the model takes 216"),
        ("text.npy", b"no array", "cannot be read as .npy"),
    ],
)
def test_files_that_are_none_are_named(
    name: str, content: bytes | None, message: str, project: Project, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    read = read_picture if name.endswith("png") else read_array
    with pytest.raises(UsageError, match=message):
        read(project, tmp_path / name)


@pytest.mark.parametrize(
    "values",
    [np.zeros((3, 3)), np.zeros((9, 8, 3), np.int32), np.zeros((5, 5, 5), np.uint8)],
    ids=lambda v: v.dtype.name,
)
def test_arrays_that_do_not_fit_are_refused(values: np.ndarray, project: Project, tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", values)
    with pytest.raises(UsageError, match=r"bad\.npy holds"):
        read_array(project, tmp_path / "bad.npy")


def test_a_picture_for_a_model_of_features_is_refused(project: Project, picture: Path) -> None:
    tensor: StoredTensor = dataclasses.replace(project.input, shape=(1, 216))
    with pytest.raises(UsageError, match="is a picture, but small takes int8 1x216"):
        read_picture(dataclasses.replace(project, input=tensor), picture)


def test_a_device_says_the_class(project: Project, picture: Path) -> None:
    from tinydeploy.oracle import Oracle

    named = dataclasses.replace(load_project(project.folder), classes=("bee", "cat", "dog", "eel"))
    with device_on_a_pty(project.folder / "device") as (port, _):
        session = Session(SerialTransport(port))
        run = classify(named, session, [picture], [])
        session.close()
    with Oracle() as oracle:
        values = read_picture(named, picture).reshape(1, 9, 8, 3)
        stored = oracle.run(project.model(), values).reshape(-1).astype(np.float64)
    tensor = project.output
    assert tensor.scale is not None
    real = (stored - (tensor.zero_point or 0)) * tensor.scale
    (prediction,) = run.predictions
    assert dict(prediction.scores) == pytest.approx(dict(zip(named.classes or (), real, strict=True)), abs=1e-6)
    assert prediction.scores[0][0] == (named.classes or ())[int(np.argmax(real))]
    assert (prediction.cycles, prediction.latency_us) == (1000, 10.0)
    assert run.note is not None
    stored_run = json.loads(run_json(run))["predictions"][0]
    assert (stored_run["file"], stored_run["class"]) == (str(picture), prediction.scores[0][0])
