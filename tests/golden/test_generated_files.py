"""Generated C, linker scripts, Makefile and manifest, as text: a change to any shows in the diff of a commit."""

from __future__ import annotations

import datetime
import getpass
import json
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from golden.model import model
from tinydeploy.boards import board_names, load_board
from tinydeploy.codegen import Sources, generate
from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES
from tinydeploy.firmware import project_files
from tinydeploy.resources import resource_dir
from tinydeploy.tflite import read_model

Golden = Callable[[str, str], None]
CLASSES = ("circle", "square", 'a "quoted" \\ class')


def sources(core: str | None) -> Sources:
    program = compile_graph(read_model(model(), "golden"), CORES[core] if core else None)
    return generate(program, CLASSES, np.arange(-128, 128, dtype=np.int8))


@pytest.mark.parametrize("core", [None, "m4"], ids=["any", "m4"])
def test_generated_c(core: str | None, golden: Golden) -> None:
    """All but the headers that are copied as they are."""
    copied = {path.name for path in (resource_dir("firmware_templates") / "kernels").glob("*.h")}
    generated = {name: text for name, text in sources(core).files.items() if name not in copied}
    for name, text in generated.items():
        golden(f"c_{core or 'any'}/{name}", text)


def test_manifest(golden: Golden) -> None:
    golden("c_m4/manifest.json", json.dumps(sources("m4").manifest, indent=1) + "\n")


@pytest.mark.parametrize("board", board_names())
@pytest.mark.parametrize("name", ["firmware/link.ld", "firmware/board.h", "Makefile"])
def test_firmware_files(board: str, name: str, golden: Golden) -> None:
    files = project_files({"model/model.c": "", "tinydeploy.json": "{}"}, load_board(board))
    golden(f"{board}/{name.replace('/', '-')}", str(files[name]))


def test_generated_files_name_no_machine_and_no_day() -> None:
    """Same input, same bytes, wherever and whenever."""

    files = {**sources("m4").files, **project_files({}, load_board("stm32f746"))}
    here = [str(Path.cwd()), str(resource_dir("boards")), str(Path.home()), socket.gethostname()]
    today = datetime.date.today()
    here += [today.isoformat(), today.strftime("%d %b %Y"), today.strftime("%b %d %Y"), f"/{getpass.getuser()}/"]
    for name, text in files.items():
        assert not [word for word in here if len(word) > 3 and word in str(text)], name


@pytest.mark.parametrize("core", [None, "m4", "m7", "m0plus"])
def test_the_same_model_gives_the_same_sources(core: str | None) -> None:
    first, second = sources(core), sources(core)
    assert first.files == second.files
    assert first.manifest == second.manifest
