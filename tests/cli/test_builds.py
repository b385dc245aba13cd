"""Builds: the same inputs give the same bytes, nothing is done twice, damage is repaired, Ctrl-C breaks nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import files, names, start, succeeds, tinydeploy
from support.link.projects import small_model

BUILD = ("build", "--board", "stm32f746", "--model", "small.tflite")
PROJECT = "build/stm32f746-small"
AGAIN_S = 1.0


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_what_a_build_leaves(built: Path) -> None:
    assert names(built) == ["build", "small.tflite"]
    project = built / PROJECT
    assert names(project) == [
        "Makefile",
        "build",
        "firmware",
        "model",
        "model.tflite",
        "samples.npz",
        "tinydeploy.json",
    ]
    for suffix in ("elf", "bin", "hex", "map"):
        assert (project / "build" / f"firmware.{suffix}").stat().st_size > 0
    header = (project / "model/model.h").read_text()
    assert "void model_invoke(const model_input_t *input, model_output_t *output)" in header
    assert not [name for name in files(project) if Path(name).name.startswith(".")], "temporary files stayed"


def test_a_second_build_does_nothing_and_takes_under_a_second(copied: Path) -> None:
    succeeds(*BUILD, cwd=copied)  # the folder was copied, so its files have other times: this looks at each once
    before = times(copied)
    runs = [succeeds(*BUILD, cwd=copied) for _ in range(3)]
    assert times(copied) == before
    assert all("up to date, nothing to do" in run.out for run in runs)
    assert min(run.cpu_s for run in runs) < AGAIN_S  # on a machine that nobody else uses, the time one waits


def test_the_same_inputs_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another folder, with a space"
    elsewhere.mkdir()
    (elsewhere / "small.tflite").write_bytes(small_model())
    succeeds(*BUILD, "--out", "deep/er/project", cwd=elsewhere)
    assert files(elsewhere / "deep/er/project") == files(built / PROJECT)


def edit(path: Path) -> None:
    path.write_text(path.read_text() + "\nan edit\n")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


TEXTS = ("model/model.c", "model/model.h", "firmware/main.c", "firmware/link.ld", "Makefile", "tinydeploy.json")
ANY = ("build/firmware.elf", "build/firmware.bin", "model/model_data.c", "samples.npz", "model.tflite")


@pytest.mark.parametrize(
    ("damage", "damaged"), [(edit, TEXTS), (Path.unlink, ANY), (cut, ANY)], ids=["edited", "deleted", "cut"]
)
def test_damage_is_repaired(damage: Callable[[Path], None], damaged: tuple[str, ...], copied: Path) -> None:
    """One file after another, each noticed by itself; the bytes are those of the first build in the end."""
    before = files(copied)
    for name in damaged:
        damage(copied / PROJECT / name)
        assert "is built" in succeeds(*BUILD, cwd=copied).out, name
    assert files(copied) == before


def test_the_users_own_files_stay(copied: Path) -> None:
    own = copied / PROJECT / "notes.txt"
    own.write_text("mine")
    (copied / PROJECT / "model/model.c").write_text("")
    succeeds(*BUILD, cwd=copied)
    assert own.read_text() == "mine"


def test_another_model_under_the_same_name_is_built(copied: Path) -> None:
    data = bytearray(small_model())
    at = data.index(b"tinydeploy test")
    data[at : at + 10] = b"TINYDEPLOY"
    (copied / "small.tflite").write_bytes(data)
    assert "is built" in succeeds(*BUILD, cwd=copied).out
    assert (copied / PROJECT / "model.tflite").read_bytes() == bytes(data)


def test_the_project_stands_alone(built: Path, tmp_path: Path) -> None:
    """make and a compiler are enough, whatever the folder: no Python, no tinydeploy."""
    from tinydeploy.toolchain import find_zig

    shutil.copytree(built / PROJECT, tmp_path / "given away")
    project = tmp_path / "given away"
    shutil.rmtree(project / "build")
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run(["make", f"ZIG={find_zig()}"], cwd=project, env=bare, check=True, capture_output=True)
    for name in ("firmware.bin", "firmware.hex"):
        assert (project / "build" / name).read_bytes() == (built / PROJECT / "build" / name).read_bytes()


def test_json_holds_what_the_report_says(copied: Path) -> None:
    result = succeeds(*BUILD, "--json", "facts.json", cwd=copied)
    facts = json.loads((copied / "facts.json").read_text())
    assert facts["folder"] == PROJECT
    assert facts["board"] == "stm32f746"
    assert f"{facts['firmware_flash_bytes']:,} B" in result.out
    assert f"{facts['firmware_ram_bytes']:,} B" in result.out
    assert sum(facts["layer_flash_bytes"].values()) <= facts["flash_bytes"]
    assert len(facts["layer_flash_bytes"]) == len(facts["steps"])


def test_a_mistake_does_not_touch_the_last_good_build(copied: Path) -> None:
    before = files(copied)
    (copied / "bad.tflite").write_bytes(small_model()[:300])
    assert tinydeploy("build", "--board", "stm32f746", "--model", "bad.tflite", cwd=copied).code == 2
    (copied / "bad.tflite").unlink()
    assert files(copied) == before


def interrupt(*arguments: str, cwd: Path, at: str, until: Callable[[], None] = lambda: None) -> str:
    """What tinydeploy says when Ctrl-C comes after the line that begins with `at`, and `until` has returned.

    The interrupt goes to the whole group, compiler included, as a terminal sends it.
    """
    process = start(*arguments, cwd=cwd)
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.lstrip().startswith(at):
            break
    until()
    os.killpg(process.pid, signal.SIGINT)
    said = "".join([*seen, process.communicate()[1]])
    assert process.returncode == 130, said
    assert said.endswith("interrupted\n")
    assert "Traceback" not in said
    return said


def temporary_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


@pytest.mark.parametrize("stage", ["compile", "prove", "build"])
def test_ctrl_c_leaves_nothing_half_written(stage: str, built: Path, tmp_path: Path) -> None:
    (tmp_path / "small.tflite").write_bytes(small_model())
    objects = tmp_path / PROJECT / "build"
    interrupt(*BUILD, cwd=tmp_path, at=stage, until=lambda: wait_for_an_object(objects) if stage == "build" else None)
    assert not temporary_files(tmp_path)
    assert tinydeploy("bench", cwd=tmp_path).code == 2
    succeeds(*BUILD, cwd=tmp_path)
    assert files(tmp_path / PROJECT) == files(built / PROJECT)


def test_ctrl_c_while_training_leaves_only_what_it_goes_on_from(tmp_path: Path) -> None:
    """In a pipe a line comes now and then, once training is under way."""
    train = ("build", "--board", "stm32f746", "--alpha", "0.1", "--input-size", "20", "--epochs", "500")
    interrupt(*train, cwd=tmp_path, at="epoch")
    (checkpoint,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert checkpoint.relative_to(tmp_path).match("build/.trained/*/checkpoint.npz")


def wait_for_an_object(folder: Path) -> None:
    """Until the compiler is in the middle of its work."""
    deadline = time.monotonic() + 60
    while not list(folder.rglob("*.o")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
