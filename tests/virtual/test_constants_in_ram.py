"""Copies of constants on the virtual board: as exact as constants in flash, and as much faster as was predicted."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from support.counting import build_model, random_input
from support.speed_models import resnet

from tinydeploy.boards import load_board
from tinydeploy.codegen import generate
from tinydeploy.compiler import compile_graph
from tinydeploy.constants_place import waiting_cycles
from tinydeploy.optimize import Optimize
from tinydeploy.tflite import read_model
from tinydeploy.toolchain import Toolchain

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("unicorn") is None, reason="needs unicorn: pip install 'tinydeploy[virtual]'"
)


@pytest.mark.parametrize("board_name", ["nucleo_l4r5zi", "stm32f746"])
def test_a_step_waits_for_flash_as_long_as_predicted(board_name: str, tmp_path: Path) -> None:
    from tinydeploy.virtual.bare import BareCore
    from tinydeploy.virtual.models.silicon import SiliconModel
    from tinydeploy.virtual.silicon_file import silicon_of
    from tinydeploy.virtual.wiring import setup_for

    board = load_board(board_name)
    program = compile_graph(read_model(resnet(), "net"), board.core)
    elf = build_model(program, board.core, tmp_path)
    silicon = silicon_of(board.part)
    assert silicon is not None
    counted = []
    for known in (silicon, dataclasses.replace(silicon, data=None)):
        bare = BareCore(board.core, elf, model=SiliconModel(known))
        bare.put_caches(known, setup_for(board).chip)
        bare.write(bare.call("model_input").value, random_input(program).tobytes())
        counted.append([bare.call(step["symbol"]).cycles for step in generate(program).manifest["steps"]])
    for step, in_all, without in zip(program.steps, *counted, strict=True):
        predicted = waiting_cycles(step.implementation, board.part)
        # Beside the constants there are tables of rows and literals, at times at the price of a line of weights.
        assert in_all - without == pytest.approx(predicted, rel=0.15, abs=400), step.op.name


@pytest.mark.parametrize(
    ("board_name", "optimize", "toolchain"),
    [("nucleo_l4r5zi", "balanced", "zig"), ("nucleo_l4r5zi", "speed", "gcc"), ("stm32f746", "speed", "zig")],
)
def test_copies_are_exact(
    board_name: str, optimize: Optimize, toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinydeploy.bench import bench
    from tinydeploy.build import Request, build
    from tinydeploy.project import load_project
    from tinydeploy.session import Session
    from tinydeploy.transport import VirtualTransport
    from tinydeploy.virtual import VirtualBoard

    if toolchain == "gcc" and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    monkeypatch.chdir(tmp_path)
    Path("net.tflite").write_bytes(resnet())
    built = build(Request(board_name, model=Path("net.tflite"), optimize=optimize, toolchain=toolchain))
    chosen = built.manifest["constants"]
    assert "ram" in {choice["residence"] for choice in chosen} or optimize == "balanced"
    assert {"arena", "flash"} == {choice["residence"] for choice in chosen} or optimize == "speed"
    copied = built.image.section(".model_copied")
    assert (copied.size_bytes if copied else 0) == pytest.approx(built.manifest["copied_bytes"], abs=8)
    project = load_project(built.folder)
    with closing(Session(VirtualTransport(VirtualBoard(built.board, project.elf), built.board.uart.baud))) as session:
        measured = bench(project, session, built.image, count=2)
    assert measured.exact
    assert measured.ram_bytes >= built.manifest["arena_bytes"] + built.manifest["copied_bytes"]
