"""What can be exported, from what, and what is refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from export.conftest import model_bytes
from support.cli import refused, succeeds
from support.link.projects import project_files
from support.net import Net

from tinydeploy.codegen import generate
from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES
from tinydeploy.export import ExportRequest, export
from tinydeploy.tflite import read_model


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What build writes of a trained network with class names and images, without the firmware."""
    folder = tmp_path_factory.mktemp("project")
    data, core = model_bytes(), CORES["m7"]
    names = ["cat", "dog", 'a "b"', "d", "e"]
    pixels = np.arange(-128, 128).clip(-100, 100).astype(np.int8)
    files = project_files(data, core, 2, False, board="stm32f746", classes=names)
    sources = generate(compile_graph(read_model(data, "small"), core), names, pixels)
    for path, content in {**files, "model/model_preprocess.h": sources.files["model_preprocess.h"]}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_a_project_brings_its_core_its_classes_and_its_pixels(project: Path) -> None:
    made = export(ExportRequest(project, "arduino", name="pets"))
    assert {path.split("/")[1] for path in made.files if path.startswith("src/") and path.endswith(".c")} == {
        "m7",
        "portable",
    }
    assert '"a \\"b\\"",' in made.files["src/m7/model_m7.c"]
    assert "pets_class_names[i]" in made.files["examples/Sample/Sample.ino"]
    assert "static inline void pets_preprocess(const uint8_t *pixels" in made.files["src/m7/model_preprocess.h"]
    assert '#include "m7/model_preprocess.h"' in made.files["src/pets.h"]
    assert "pets_preprocess(pixels, input)" in made.files["README.md"]


def test_the_same_model_gives_the_same_bytes(model: Path) -> None:
    request = ExportRequest(model, "zephyr", cores=("portable",))
    assert export(request).files == export(request).files


@pytest.mark.parametrize(("stem", "name"), [("Vww-96.int8", "vww_96_int8"), ("9 lives", "model_9_lives")])
def test_the_models_name_becomes_the_librarys(stem: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{stem}.tflite"
    path.write_bytes(model_bytes())
    assert export(ExportRequest(path, "cmake", cores=("portable",))).name == name


def test_owner_and_version_go_where_the_ecosystem_has_them(model: Path) -> None:
    facts = {"version": "2.3.4", "author": 'Ann "A" Other <ann@example.org>', "url": "https://example.org/kws"}
    made = {e: export(ExportRequest(model, e, cores=("portable",), **facts)).files for e in ("arduino", "platformio")}
    properties = made["arduino"]["library.properties"]
    assert "version=2.3.4\n" in properties
    assert 'maintainer=Ann "A" Other <ann@example.org>\n' in properties
    assert "url=https://example.org/kws\n" in properties
    (author,) = json.loads(made["platformio"]["library.json"])["authors"]
    assert author == {"name": 'Ann "A" Other', "email": "ann@example.org", "maintainer": True}


def test_real_outputs_are_printed_where_printf_has_to_be_told(tmp_path: Path) -> None:
    net = Net(5)
    path = tmp_path / "real.tflite"
    path.write_bytes(net.done(net.dequantize(net.fully_connected(net.input((1, 8)), 4))))
    files = export(ExportRequest(path, "zephyr", name="real", cores=("portable",))).files
    assert 'printf("output %d: %g\\n", i, (double)output[i]);' in files["samples/real/src/main.c"]
    assert "CONFIG_REQUIRES_FLOAT_PRINTF=y\n" in files["samples/real/prj.conf"]


def test_the_command_writes_the_library(model: Path, tmp_path: Path) -> None:
    out = succeeds("export", model, "--as", "platformio", "--core", "m4", "--name", "kws", cwd=tmp_path).out
    assert out.startswith("wrote build/export/platformio/kws: ")
    assert out.endswith(" files; build/export/platformio/kws/README.md says how to use it\n")
    assert (tmp_path / "build/export/platformio/kws/library.json").is_file()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--as", "make"), "'make' is not one of"),
        (("--as", "cmake", "--core", "m5"), "--core m5: no such core; there are m0plus, m4"),
        (
            ("--as", "cmake", "--core", "m4", "--core", "m7"),
            "compilers do not tell m7 and m4 apart; export one of them",
        ),
        (("--as", "cmake", "--name", "My-Net"), "--name My-Net is no C identifier"),
        (("--as", "cmake", "--author", "two\nlines"), "--author and --url are one line each"),
        (("--as", "cmake", "--version", "1.0"), "--version 1.0 is not of the form 1.2.3"),
    ],
)
def test_mistakes_are_told(options: tuple[str, ...], sentence: str, model: Path, tmp_path: Path) -> None:
    assert sentence in refused("export", model, *options, cwd=tmp_path)


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    assert "has no tinydeploy.json, so it is no project folder" in refused("export", ".", "--as", "cmake", cwd=tmp_path)
    assert "cannot be read (No such file" in refused("export", "gone.tflite", "--as", "cmake", cwd=tmp_path)
