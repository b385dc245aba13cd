"""The main job's parts: names and folders, what is refused, samples that are the same bytes every day."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from support.link.projects import small_model

from tinydeploy.build import Request, build
from tinydeploy.errors import ModelError, OutputError, TinydeployError, UsageError


@pytest.mark.parametrize(
    ("request_", "folder"),
    [
        (Request("stm32f746"), "build/stm32f746-mobilenet_v1_0.25_48_digits"),
        (
            Request("stm32f746", alpha=1.0, input_size=96, dataset="cifar10"),
            "build/stm32f746-mobilenet_v1_1_96_cifar10",
        ),
        (Request("nucleo_l4r5zi", model=Path("some/odd name-2.tflite")), "build/nucleo_l4r5zi-odd_name_2"),
        (Request("mine/board.toml", model=Path("m.tflite")), "build/board-m"),
        (Request("stm32f746", model=Path("m.tflite"), out=Path("here")), "here"),
        (Request("stm32f746", data=Path("my photos.tar.gz")), "build/stm32f746-mobilenet_v1_0.25_48_my_photos"),
    ],
)
def test_where_a_build_goes(request_: Request, folder: str) -> None:
    assert request_.folder == Path(folder)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.tflite"
    path.write_bytes(small_model())
    return path


def test_stages_are_told_in_order_and_none_the_second_time(model: Path) -> None:
    told: list[str] = []
    first = build(Request("stm32f746", model=model), stage=told.append)
    assert [stage.split()[0] for stage in told] == ["compile", "prove", "build"]
    assert not first.fresh
    told.clear()
    second = build(Request("stm32f746", model=model), stage=told.append)
    assert (second.fresh, told) == (True, [])
    assert second.manifest == first.manifest
    assert second.image == first.image


def test_samples_have_the_same_bytes_on_another_day(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = build(Request("stm32f746", model=model, out=Path("one")))
    later = time.time() + 100_000
    monkeypatch.setattr(time, "time", lambda: later)
    other = build(Request("stm32f746", model=model, out=Path("other")))
    stored = [(folder.folder / "samples.npz").read_bytes() for folder in (one, other)]
    assert stored[0] == stored[1]
    inputs = np.load(io.BytesIO(stored[0]))["inputs"]
    assert (inputs.shape, inputs.dtype) == ((16, 9, 8, 3), np.int8)


def test_a_wrong_compiler_is_caught_by_the_proof(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit of one tensor in the numpy reference, and the build stops before anything is written."""
    from tinydeploy import proof

    right = proof.run_graph

    def wrong(graph: object, data: object) -> object:
        values = dict(right(graph, data))  # type: ignore[arg-type]
        last = max(values)
        values[last] = values[last] ^ 1
        return values

    monkeypatch.setattr(proof, "run_graph", wrong)
    with pytest.raises(TinydeployError, match="gives other values than TFLite Micro"):
        build(Request("stm32f746", model=model))
    assert not Path("build").exists()


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Request("stm32f746", model=Path("gone.tflite")), UsageError),
        (Request("stm32f746", model=Path("small.tflite"), data=Path()), UsageError),
        (Request("stm32f746", samples=Path("small.tflite")), UsageError),
        (Request("stm32f746", model=Path("small.tflite"), out=Path("small.tflite/x")), OutputError),
        (Request("stm32f746", model=Path("text.tflite")), ModelError),
    ],
)
def test_what_is_refused(request_: Request, error: type[TinydeployError], model: Path) -> None:
    model.with_name("text.tflite").write_text("no model at all, just text")
    with pytest.raises(error):
        build(request_)
    assert sorted(path.name for path in model.parent.iterdir()) == ["small.tflite", "text.tflite"]
