"""The cost model against what is then built, on every core that it can be measured on.

After a kernel has changed: python -m benchmarks.fit_cost.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.counting import count_model

from tinydeploy import zoo
from tinydeploy.arithmetic import estimate
from tinydeploy.boards import load_board
from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES, VIRTUAL_CORES
from tinydeploy.cost import predict
from tinydeploy.image import read_image
from tinydeploy.kernel_forms import compile_for
from tinydeploy.untrained import untrained_graph
from tinydeploy.zoo import ModelSpec

TOLERANCE = 0.10
NETWORKS = (
    ModelSpec("mobilenet_v1", 0.25, 48, 1, 10),
    ModelSpec("mobilenet_v2", 0.35, 48, 3, 10),
    ModelSpec("shufflenet_v2", 0.25, 48, 3, 10),
    ModelSpec("resnet", 0.5, 32, 3, 10),
    ModelSpec("inception", 0.5, 32, 3, 10),
    ModelSpec("ds_cnn", 1.0, 49, 1, 12, (), 10),
)


@pytest.mark.parametrize("core_name", VIRTUAL_CORES)
@pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: spec.name)
def test_predictions_are_within_ten_per_cent(spec: ModelSpec, core_name: str, tmp_path: Path) -> None:
    core = CORES[core_name]
    program = compile_graph(untrained_graph(zoo.describe(spec), spec.name), core, keep_constant_channels=True)
    predicted = predict(program, core)
    counted = count_model(program, core, tmp_path)
    assert predicted.unmeasured == ()
    assert predicted.instructions == pytest.approx(counted.instructions, rel=TOLERANCE)
    assert predicted.cycles == pytest.approx(counted.cycles, rel=TOLERANCE)
    symbols = read_image(tmp_path / "model.elf").symbols
    # Arrays are called model_NN_weights and the like.
    code = sum(s.size_bytes for s in symbols if re.match(r"td_|model_(?!\d)|k_", s.name))
    flash = program.constants_bytes + predicted.code_bytes
    assert flash == pytest.approx(program.constants_bytes + code, rel=TOLERANCE)


@pytest.mark.parametrize("board_name", ["nucleo_l4r5zi", "stm32f746", "nucleo_u575zi"])
@pytest.mark.parametrize("spec", NETWORKS[::2], ids=lambda spec: spec.name)
def test_on_calibrated_chips_too(spec: ModelSpec, board_name: str, tmp_path: Path) -> None:
    """With flash and caches, compiled for the board as `build` does, and counted as `bench` on the virtual board."""
    board = load_board(board_name)
    program = compile_for(untrained_graph(zoo.describe(spec), spec.name), board, keep_constant_channels=True)
    counted = count_model(program, board.core, tmp_path, board=board)
    assert estimate(spec, board).cycles == pytest.approx(counted.cycles, rel=TOLERANCE)
