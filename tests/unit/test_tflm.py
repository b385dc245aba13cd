"""The interpreter's side: what is generated of a model, and which of the user's trees of TFLM will do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.link.projects import small_model

from tinydeploy.boards import load_board
from tinydeploy.cores import CORES
from tinydeploy.errors import ToolchainError
from tinydeploy.firmware import project_files
from tinydeploy.tflite import operator_kinds, read_model
from tinydeploy.tflm import Arena, resolver_method, tflm_sources
from tinydeploy.tflm_tree import TflmTree, find_tree

M4 = CORES["m4"]
HEADER = "tensorflow/lite/micro/micro_interpreter.h"
DOWNLOADS = "tensorflow/lite/micro/tools/make/downloads"
NEEDED = (
    HEADER,
    f"{DOWNLOADS}/flatbuffers/include/flatbuffers/flatbuffers.h",
    f"{DOWNLOADS}/gemmlowp/fixedpoint/fixedpoint.h",
)
LIBRARY = "libtensorflow-microlite.a"
TREE = TflmTree(Path("/tree"), f"lib/{LIBRARY}", (".", "third_party/gemmlowp"), "5" * 64, has_messages=False)


def put(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def sources(arena: Arena) -> dict[str, str]:
    data = small_model()
    made = tflm_sources(read_model(data, "small"), operator_kinds(data), data, TREE, arena, load_board("nucleo_l4r5zi"))
    return dict(made.files)


def test_the_model_is_an_aligned_constant_byte_for_byte(tmp_path: Path) -> None:
    files = sources(Arena(4096, 0))
    text = files["model/model_tflite.c"]
    assert "const uint8_t model_tflite[" in text
    assert "__attribute__((aligned(16)))" in text
    numbers = re.findall(r"\d+", text.split("= {")[1])
    assert bytes(map(int, numbers)) == small_model()
    if shutil.which("gcc"):
        for name in ("model_tflite.c", "model_tflite.h", "model.h"):
            (tmp_path / name).write_text(files[f"model/{name}"])
        subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-c", "model_tflite.c"], cwd=tmp_path, check=True)


def test_the_resolver_has_the_models_operators_once_each() -> None:
    text = sources(Arena(4096, 0))["model/model_tflm.cc"]
    assert re.findall(r"^ +(Add\w+)\(\);", text, re.MULTILINE) == [
        "AddConv2D",
        "AddDepthwiseConv2D",
        "AddFullyConnected",
        "AddMean",
    ]
    assert "MicroMutableOpResolver<4>" in text


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("CONV_2D", "AddConv2D"),
        ("MAX_POOL_2D", "AddMaxPool2D"),
        ("PADV2", "AddPadV2"),
        ("RELU6", "AddRelu6"),
        ("RESIZE_NEAREST_NEIGHBOR", "AddResizeNearestNeighbor"),
        ("SOFTMAX", "AddSoftmax"),
    ],
)
def test_methods_are_named_after_operators(kind: str, method: str) -> None:
    assert resolver_method(kind) == method


def test_every_operator_is_a_step() -> None:
    text = sources(Arena(4096, 0))["firmware/tflm_steps.cc"]
    assert re.findall(r"TfLiteStatus (model_step_\w+)\(", text) == [
        "model_step_00_conv_2d",
        "model_step_01_depthwise_conv_2d",
        "model_step_02_mean",
        "model_step_03_fully_connected",
    ]


def test_only_the_firmware_that_is_asked_measures_its_arena() -> None:
    assert "model_needed_arena_bytes = bytes" in sources(Arena(100_000))["model/model_tflm.cc"]
    final = sources(Arena(4096, 16))
    assert "model_needed_arena_bytes" not in final["model/model_tflm.cc"]
    assert "#define MODEL_ARENA_BYTES 4096" in final["model/model.h"]


def test_the_interpreter_counts_as_the_model_and_the_rest_as_firmware() -> None:
    data, board = small_model(), load_board("nucleo_l4r5zi")
    made = tflm_sources(read_model(data, "small"), operator_kinds(data), data, TREE, Arena(4096, 16), board)
    files = project_files({**made.files, "tinydeploy.json": json.dumps(made.manifest)}, board)
    makefile, script = str(files["Makefile"]), str(files["firmware/link.ld"])
    assert f"$(TFLM_DIR)/lib/{LIBRARY}" in makefile
    assert "-isystem $(TFLM_DIR)/third_party/gemmlowp" in makefile
    assert "-DTF_LITE_STRIP_ERROR_STRINGS" in makefile
    assert ".model_text : ALIGN(16) { EXCLUDE_FILE(*build/obj/firmware/*) *(.text .text.*) } > flash" in script


def test_a_checkout_in_which_the_library_was_made_will_do(tmp_path: Path) -> None:
    builds = [
        f"gen/cortex_m_generic_{arch}_release_cmsis_nn_gcc/lib/{LIBRARY}" for arch in ("cortex-m4+fp", "cortex-m7+fp")
    ]
    tree = find_tree(M4, {"TFLM_DIR": str(put(tmp_path, [*NEEDED, *builds]))})
    assert tree.library == builds[0]
    assert tree.includes == (".", f"{DOWNLOADS}/flatbuffers/include", f"{DOWNLOADS}/gemmlowp")
    assert not tree.has_messages


def test_a_tree_that_was_made_for_other_projects_will_do(tmp_path: Path) -> None:
    names = [name.replace(DOWNLOADS, "third_party") for name in NEEDED]
    put(tmp_path, [*names, "third_party/ruy/ruy.h"])
    (tmp_path / LIBRARY).write_bytes(b"!<arch> _Z11MicroPrintfPKcz")
    tree = find_tree(M4, {"TFLM_DIR": str(tmp_path)})
    assert tree.library == LIBRARY
    assert tree.includes == (".", "third_party/flatbuffers/include", "third_party/gemmlowp", "third_party/ruy")
    assert tree.has_messages


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ((), f"which has no {HEADER}; set it to a tree of tflite-micro"),
        (NEEDED[:1], "which has no flatbuffers/flatbuffers.h in "),
        (NEEDED[:2], "which has no fixedpoint/fixedpoint.h in "),
        (NEEDED, f"which has no {LIBRARY} for the Cortex-M4 (none at all): git clone https://github.com/tensorflow/"),
        (
            (*NEEDED, f"gen/cortex_m_generic_cortex-m0_release_gcc/lib/{LIBRARY}"),
            "(only cortex_m_generic_cortex-m0_release_gcc): git clone",
        ),
    ],
)
def test_what_is_missing_is_told(names: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        find_tree(M4, {"TFLM_DIR": str(put(tmp_path, names))})
    assert str(caught.value).startswith(f"TFLM_DIR is {tmp_path}, ")
    assert sentence in str(caught.value)


def test_without_a_tree_it_says_how_to_get_one() -> None:
    with pytest.raises(ToolchainError) as caught:
        find_tree(M4, {})
    message = str(caught.value)
    assert "TFLM_DIR is not set: git clone https://github.com/tensorflow/tflite-micro" in message
    assert "TARGET_ARCH=cortex-m4+fp OPTIMIZED_KERNEL_DIR=cmsis_nn" in message
