"""What a user can get wrong: exit code 2, one sentence that names the thing and the next step, and nothing written."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import tflite_schema as schema
from support import tflite_writer as w
from support.cli import COMMAND, environment, files, names, refused, succeeds, tinydeploy
from support.link.projects import small_model
from support.net import Net

BUILD = ("build", "--board", "stm32f746")


def float_model() -> bytes:
    net = Net(1)
    x = net.float_input((1, 4))
    weights = net.constant(np.ones((3, 4), np.float32))
    out = net.tensor(w.Tensor((1, 3), "float32"))
    net.op(schema.Code.FULLY_CONNECTED, [x, weights], [out], schema.FullyConnected())
    return net.done(out)


def unsupported_model() -> bytes:
    net = Net(1)
    x = net.conv(net.input((1, 4, 4, 2)), 3)
    out = net.activation((1, 4, 4, 3))
    net.op(schema.Code.SHAPE, [x], [out], None)
    return net.done(out)


def model_of_many_weights() -> bytes:
    net = Net(1)
    return net.done(net.fully_connected(net.input((1, 1100)), 1000))


def model_of_large_activations() -> bytes:
    net = Net(1)
    return net.done(net.conv(net.input((1, 260, 260, 4)), 4, (1, 1)))


def model_that_leaves_no_stack() -> bytes:
    """The arena alone fits the RAM of 262,144 B; with the firmware's own needs it does not."""
    net = Net(1)
    return net.done(net.mean(net.input((1, 254, 254, 4))))


def mutated_model() -> bytes:
    data = bytearray(small_model())
    data[0:4] = (len(data) - 6).to_bytes(4, "little")
    return bytes(data)


BAD_MODELS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "0 bytes"),
    "truncated": (lambda: small_model()[:-400], "truncated or damaged"),
    "mutated": (mutated_model, "export"),
    "text": (lambda: b"#!/bin/sh\necho this is no model\n", "not a TensorFlow Lite model"),
    "float": (float_model, "quantize the model"),
    "unsupported operator": (unsupported_model, "operator 1 is SHAPE"),
}


@pytest.mark.parametrize("command", ["inspect", "build"])
@pytest.mark.parametrize("name", BAD_MODELS)
def test_models_that_cannot_be_compiled(name: str, command: str, tmp_path: Path) -> None:
    data, fact = BAD_MODELS[name]
    (tmp_path / "bad.tflite").write_bytes(data())
    arguments = ("inspect", "bad.tflite") if command == "inspect" else (*BUILD, "--model", "bad.tflite")
    message = refused(*arguments, cwd=tmp_path)
    assert message.startswith("bad: ")
    assert fact in message
    assert names(tmp_path) == ["bad.tflite"]


@pytest.mark.parametrize(
    ("data", "memory", "largest"),
    [(model_of_many_weights, "flash", "t"), (model_of_large_activations, "RAM", "t")],
    ids=["flash", "RAM"],
)
def test_models_that_do_not_fit(data: Callable[[], bytes], memory: str, largest: str, tmp_path: Path) -> None:
    """Refused before anything is compiled, with the largest contributors."""
    (tmp_path / "big.tflite").write_bytes(data())
    message = refused(*BUILD, "--model", "big.tflite", cwd=tmp_path)
    assert f" B of {memory}, stm32f746 has" in message
    assert "; largest: " in message
    assert names(tmp_path) == ["big.tflite"]
    succeeds("inspect", "big.tflite", cwd=tmp_path)
    assert "stm32f746: DOES NOT FIT" in succeeds("inspect", "big.tflite", cwd=tmp_path).out


def test_a_model_that_the_linker_cannot_place(tmp_path: Path) -> None:
    (tmp_path / "tight.tflite").write_bytes(model_that_leaves_no_stack())
    message = refused(*BUILD, "--model", "tight.tflite", "--out", "project", cwd=tmp_path)
    assert "the arena needs" in message
    assert "B of RAM, stm32f746 has 256,000 B; largest: " in message
    assert not (tmp_path / "build").exists(), "it must not count as the last build"
    (tmp_path / "small.tflite").write_bytes(small_model())
    succeeds(*BUILD, "--model", "small.tflite", "--out", "project", cwd=tmp_path)


def test_a_network_that_cannot_fit_is_refused_before_training(tmp_path: Path) -> None:
    result = tinydeploy(*BUILD, "--alpha", "1", "--input-size", "224", cwd=tmp_path)
    assert result.code == 2
    assert "mobilenet_v1_1_224 needs" in result.err
    assert "; largest: " in result.err
    assert result.cpu_s < 5, "TensorFlow alone takes longer to import"
    assert names(tmp_path) == []


OPTIONS: list[tuple[str, tuple[str, ...], str]] = [
    ("board", ("build", "--board", "stm32f764"), "did you mean 'stm32f746'?"),
    ("board unlike any", ("build", "--board", "teapot"), "the boards are mps2_an386"),
    ("board file", ("build", "--board", "mine.toml"), "mine.toml"),
    ("option", (*BUILD, "--alhpa", "1"), "did you mean '--alpha'?"),
    ("command", ("biuld",), "did you mean 'build'?"),
    ("command unlike any", ("flash",), "bench, board, boards, build"),
    ("dataset", (*BUILD, "--dataset", "cifar"), "did you mean 'cifar10'?"),
    ("architecture", (*BUILD, "--arch", "mobilenet"), "did you mean 'mobilenet_v"),
    ("alpha zero", (*BUILD, "--alpha", "0"), "--alpha 0 is out of range"),
    ("alpha negative", (*BUILD, "--alpha=-0.5"), "--alpha -0.5 is out of range"),
    ("alpha above one", (*BUILD, "--alpha", "1.01"), "above 0 and up to 1"),
    ("alpha nan", (*BUILD, "--alpha", "nan"), "out of range"),
    ("alpha word", (*BUILD, "--alpha", "small"), "'small'"),
    ("input size zero", (*BUILD, "--input-size", "0"), "--input-size 0 is out of range"),
    ("input size too small", (*BUILD, "--input-size", "16"), "choose --input-size 17 or more"),
    ("channels", (*BUILD, "--channels", "2"), "choose 1 (grey) or 3 (RGB)"),
    ("epochs", (*BUILD, "--epochs", "0"), "--epochs"),
    ("toolchain", (*BUILD, "--toolchain", "llvm"), "'zig', 'gcc'"),
    ("no model", (*BUILD, "--model", "gone.tflite"), "there is no model gone.tflite"),
    ("no data", (*BUILD, "--data", "gone"), "gone does not exist"),
    ("no samples", (*BUILD, "--model", "small.tflite", "--samples", "gone.npz"), "there are no samples gone.npz"),
    ("model is a folder", (*BUILD, "--model", "."), "'.'"),
    ("model and dataset", (*BUILD, "--model", "small.tflite", "--dataset", "digits"), "leave one of them away"),
    ("model and data", (*BUILD, "--model", "small.tflite", "--data", "."), "leave one of them away"),
    ("samples without model", (*BUILD, "--samples", "small.tflite"), "--samples goes with --model"),
    ("digits and data", (*BUILD, "--dataset", "digits", "--data", "."), "the digits ship inside scikit-learn"),
    ("samples of another kind", (*BUILD, "--model", "small.tflite", "--samples", "small.tflite"), "numpy.savez"),
    ("verify model alone", ("verify", "--model", "small.tflite"), "--model and --board go together"),
    ("verify board alone", ("verify", "--board", "stm32f746"), "--model and --board go together"),
    ("verify nothing", ("verify", "--inputs", "0"), "at least 1"),
    ("inspect nothing", ("inspect",), "give either a .tflite file or --arch"),
    ("inspect board", ("inspect", "small.tflite", "--board", "nucleo"), "did you mean 'nucleo_"),
    ("bench before build", ("bench",), "run tinydeploy build first"),
    ("emulate before build", ("emulate",), "run tinydeploy build first"),
    ("project without manifest", ("bench", "--project", "."), "no tinydeploy.json"),
]


@pytest.mark.parametrize(("arguments", "fact"), [row[1:] for row in OPTIONS], ids=[row[0] for row in OPTIONS])
def test_options(arguments: tuple[str, ...], fact: str, model: Path) -> None:
    folder = model.parent
    assert fact in refused(*arguments, cwd=folder)
    assert names(folder) == ["small.tflite"]


@pytest.mark.parametrize(
    ("arrays", "fact"),
    [
        ({"labels": np.zeros(3)}, "has no array 'inputs'"),
        ({"inputs": np.zeros((3, 9, 8, 3), np.float32)}, "the model takes int8 (9, 8, 3)"),
        ({"inputs": np.zeros((3, 5), np.int8)}, "the model takes int8 (9, 8, 3)"),
        ({"inputs": np.zeros((3, 9, 8, 3), np.int8), "labels": np.zeros(2)}, "3 inputs and 2 labels"),
    ],
)
def test_samples_that_do_not_fit_the_model(arrays: dict[str, Any], fact: str, model: Path) -> None:
    np.savez(model.with_name("samples.npz"), **arrays)
    assert fact in refused(*BUILD, "--model", "small.tflite", "--samples", "samples.npz", cwd=model.parent)


class TestOutput:
    """Places that cannot be written; a file in a folder's place refuses root too."""

    def test_project_folder(self, model: Path) -> None:
        model.with_name("file").write_text("in the way")
        message = refused(*BUILD, "--model", "small.tflite", "--out", "file/project", cwd=model.parent)
        assert message == "cannot write file/project: file is not a folder; choose another folder with --out"
        assert not model.with_name("build").exists()

    def test_record_of_the_last_build(self, model: Path) -> None:
        model.with_name("build").write_text("in the way")
        message = refused(*BUILD, "--model", "small.tflite", "--out", "project", cwd=model.parent)
        assert "build" in message

    @pytest.mark.parametrize("command", [("boards",), ("inspect", "small.tflite")])
    def test_json(self, command: tuple[str, ...], model: Path) -> None:
        model.with_name("file").write_text("in the way")
        result = tinydeploy(*command, "--json", "file/facts.json", cwd=model.parent)
        assert result.code == 2
        assert "error: cannot write file/facts.json: " in result.err
        assert "Traceback" not in result.err

    @pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
    def test_folder_without_permission(self, model: Path) -> None:
        closed = model.with_name("closed")
        closed.mkdir(mode=0o500)
        message = refused(*BUILD, "--model", "small.tflite", "--out", "closed/project", cwd=model.parent)
        assert "closed may not be written" in message


class TestPort:
    """Ports that are missing, taken, dead or no ports at all."""

    def test_missing(self, built: Path) -> None:
        assert refused("bench", "/dev/ttyNOPE", cwd=built).startswith("there is no port /dev/ttyNOPE; ")

    def test_busy(self, built: Path) -> None:
        import serial

        ours, theirs = pty.openpty()
        name = os.ttyname(theirs)
        try:
            with serial.Serial(name, exclusive=True):
                message = refused("bench", name, cwd=built)
        finally:
            os.close(ours)
            os.close(theirs)
        assert message.startswith(f"{name} is in use by another program")

    @pytest.mark.parametrize("command", ["bench", "verify"])
    def test_silent(self, command: str, built: Path) -> None:
        """Somebody holds the line and says nothing."""
        ours, theirs = pty.openpty()
        name = os.ttyname(theirs)
        try:
            message = refused(command, name, cwd=built)
        finally:
            os.close(ours)
            os.close(theirs)
        assert name in message
        assert "answer" in message

    def test_not_a_port(self, built: Path) -> None:
        assert "is not a serial port" in refused("bench", "small.tflite", cwd=built)

    @pytest.mark.parametrize("command", ["bench", "verify", "run", "mlperf", "doctor"])
    def test_a_project_in_its_place(self, command: str, built: Path) -> None:
        folder = "build/stm32f746-small"
        message = f"{folder} is a folder, not a serial port; --project {folder} names a project"
        assert message in refused(command, folder, cwd=built)

    def test_a_folder_to_monitor(self, built: Path) -> None:
        assert "build is a folder, not a serial port; name a port, or none" in refused("monitor", "build", cwd=built)


class TestProject:
    """Project folders that somebody has damaged."""

    def test_firmware_gone(self, copied: Path) -> None:
        shutil.rmtree(copied / "build/stm32f746-small/build")
        assert "firmware.elf is missing; run make in " in refused("bench", cwd=copied)

    def test_manifest_cut(self, copied: Path) -> None:
        manifest = copied / "build/stm32f746-small/tinydeploy.json"
        manifest.write_text(manifest.read_text()[:100])
        assert "tinydeploy.json" in refused("bench", cwd=copied)

    def test_samples_cut(self, copied: Path) -> None:
        samples = copied / "build/stm32f746-small/samples.npz"
        samples.write_bytes(samples.read_bytes()[:100])
        assert "samples.npz" in refused("bench", cwd=copied)

    def test_last_build_gone(self, copied: Path) -> None:
        shutil.rmtree(copied / "build/stm32f746-small")
        assert "is gone" in refused("verify", cwd=copied)

    def test_nothing_is_changed_by_looking(self, copied: Path) -> None:
        before = files(copied)
        succeeds("boards", cwd=copied)
        refused("bench", "/dev/ttyNOPE", cwd=copied)
        assert files(copied) == before


def test_a_reader_that_goes_away_is_no_error(built: Path) -> None:
    """tinydeploy inspect model | head -1"""
    command = f"{' '.join(COMMAND)} inspect small.tflite | head -c 1"
    script = f"set -o pipefail; {command}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=built, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# Training


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        (("--qat-epochs", "3"), "--qat-epochs goes with --qat"),
        (("--mixup", "-1"), "--mixup -1 is out of range"),
        (("--input-size", "wide"), "--input-size 'wide' is no size"),
        (("--teacher", "resnet/wide"), "'resnet/wide' is no network"),
        (("--teacher", "gone.keras"), "there is no teacher gone.keras"),
        (("--depth", "20"), "mobilenet_v1 has no option --depth"),
        (("--dataset", "fashion"), "did you mean 'fashion_mnist'?"),
        (("--data", "gone.npz"), "gone.npz does not exist"),
        (("--data", "text.npz"), "text.npz cannot be read as .npz"),
        (("--arch", "autoencoder", "--teacher", "resnet/1"), "gives no classes that --teacher could teach"),
        (("--arch", "resnet", "--alpha", "1", "--input-size", "640"), "The nearest that fits is --alpha"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_trainings_that_cannot_be(options: tuple[str, ...], fact: str, tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no arrays")
    assert fact in refused(*BUILD, *options, cwd=tmp_path)
    assert not (tmp_path / "build").exists() or not list((tmp_path / "build").glob("*/tinydeploy.json"))
