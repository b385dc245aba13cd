"""Costs before training: what layers save, what does not fit and what does, sweeps and fits."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

from tinydeploy import zoo
from tinydeploy.arithmetic import Estimate, Scale, estimate, require_possible
from tinydeploy.arithmetic_report import estimate_json
from tinydeploy.boards import load_board
from tinydeploy.cli import cli
from tinydeploy.errors import FitError, TinydeployError, UsageError
from tinydeploy.layer_arithmetic import arithmetic_of, separable_savings
from tinydeploy.sweep import Limits, Refused, fit, for_images, grid, read_bytes, read_list, read_numbers, sweep
from tinydeploy.sweep_plot import sweep_svg
from tinydeploy.sweep_report import fitting_json, sweep_json
from tinydeploy.zoo import ModelSpec

BOARD = load_board("nucleo_l4r5zi")
SMALL = ModelSpec("mobilenet_v1", 0.1, 32, 1, 10)


def test_a_separable_pair_saves_what_its_formula_says() -> None:
    """MobileNetV1, section 3.1: 1/N + 1/Dk^2 of a standard convolution, about 8 to 9 times less for 3x3."""
    layers = {layer.name: layer for layer in zoo.describe(ModelSpec("mobilenet_v1", 1.0, 224, 3, 1000))}
    savings = separable_savings(tuple(layers.values()))
    assert len(savings) == 13
    for saving in savings.values():
        assert sum(layers[part].macs for part in saving.layers) == pytest.approx(saving.share * saving.standard_macs)
    last = savings["conv_pw_13"]
    assert last.formula == "1/1024 + 1/9"
    assert 1 / last.share == pytest.approx(8.92, abs=0.01)


def test_a_grouped_convolution_saves_by_its_groups() -> None:
    layers = zoo.describe(ModelSpec("resnext", 1.0, 32, 3, 10))
    by_name = {layer.name: layer for layer in layers}
    for name, saving in separable_savings(layers).items():
        assert saving.formula == "1/4"
        assert by_name[name].macs * 4 == saving.standard_macs


def test_memory_access_cost_is_least_at_equal_channel_widths() -> None:
    """ShuffleNet V2's guideline G1, and its formula hw (c1 + c2) + c1 c2 for a 1x1 convolution."""
    layer = next(x for x in zoo.describe(ModelSpec("mobilenet_v1", 1.0, 224, 3, 1000)) if x.name == "conv_pw_13")
    assert layer.access == 7 * 7 * (1024 + 1024) + 1024 * 1024
    costs = [8 * 8 * (c1 + 4096 // c1) + 4096 for c1 in (64, 32, 16, 8)]
    assert costs == sorted(costs)


def test_an_estimate_adds_up() -> None:
    found = estimate(SMALL, BOARD)
    assert sum(layer.macs for layer in found.layers) == found.macs
    assert sum(layer.access for layer in found.layers) == found.access
    rounding = len(found.layers) / 2
    assert 0 < sum(layer.instructions for layer in found.layers) <= found.instructions + rounding
    assert found.standard_macs > 4 * found.macs
    assert found.flash_bytes == found.constants_bytes + found.code_bytes < found.firmware_flash_bytes
    assert found.arena_bytes < found.firmware_ram_bytes
    assert found.fits
    assert found.latency_ms == pytest.approx(found.cycles / 120e3)
    told = json.loads(estimate_json(found))
    assert told["name"] == "mobilenet_v1_0.1_32"
    assert told["latency_ms"] == found.latency_ms


def test_chains_of_row_stripes_are_predicted_too() -> None:
    spec = ModelSpec("mobilenet_v1", 0.25, 64, 3, 10)
    balanced, ram = estimate(spec, BOARD), estimate(spec, BOARD, optimize="ram")
    assert ram.arena_bytes < balanced.arena_bytes
    assert sum(layer.instructions for layer in ram.layers) <= ram.instructions
    assert 0.8 < ram.instructions / balanced.instructions < 1.6


def test_what_cannot_fit_is_refused_with_the_nearest_that_may() -> None:
    spec = ModelSpec("mobilenet_v1", 1.0, 224, 3, 1000)
    with pytest.raises(FitError, match="of flash, nucleo_l4r5zi has ") as caught:
        estimate(spec, BOARD)
    found = re.search(r"The nearest that may fit is --alpha (0\.\d+) --input-size (\d+)", str(caught.value))
    assert found
    require_possible(dataclasses.replace(spec, alpha=float(found[1]), input_size=int(found[2])), BOARD)


def test_a_sweep_has_a_point_for_each_width_and_size_and_says_why_one_is_missing() -> None:
    points = sweep(grid(["mobilenet_v1"], [0.05, 0.1], [(16, 0), (32, 0)]), BOARD)
    assert [isinstance(point, Refused) for point in points] == [True, True, False, False]
    assert points[2].spec.alpha < points[3].spec.alpha
    told = json.loads(sweep_json(points))
    assert "its strides need at least 17x17" in told[0]["refused"]
    assert told[2]["macs"] < told[3]["macs"]
    root = xml.etree.ElementTree.fromstring(sweep_svg(points, BOARD))
    assert sum(node.tag.endswith("circle") for node in root.iter()) == 2 * 3


def test_a_sweep_without_a_single_network_is_an_error() -> None:
    with pytest.raises(UsageError, match="its strides need at least 17x17"):
        sweep(grid(["mobilenet_v1"], [0.1, 0.2], [(16, 0)]), BOARD)


def test_of_several_architectures_each_takes_the_options_that_it_has() -> None:
    specs = grid(["resnet", "mobilenet_v1"], [0.1], [(32, 0)], options=(("depth", "14"),))
    assert [spec.options for spec in specs] == [(("depth", "14"),), ()]
    with pytest.raises(TinydeployError, match="has no option --dpth"):
        sweep(grid(["resnet", "mobilenet_v1"], [0.1], [(32, 0)], options=(("dpth", "14"),)), BOARD)


def test_fit_takes_the_largest_that_keeps_the_limits() -> None:
    limits = Limits(latency_ms=6, ram_bytes=64 << 10)
    fitting = fit(["mobilenet_v1"], BOARD, limits, alphas=(0.25, 0.15, 0.1, 0.05), sizes=[(48, 0), (32, 0)])
    (best,) = fitting.found
    assert best.latency_ms <= 6
    everything = sweep(grid(["mobilenet_v1"], [0.25, 0.15, 0.1, 0.05], [(48, 0), (32, 0)]), BOARD)
    within = [one for one in everything if not isinstance(one, Refused) and not limits.broken(one)]
    assert best.macs == max(one.macs for one in within)
    assert json.loads(fitting_json(fitting))["found"][0]["name"] == best.spec.name


def test_constants_of_ones_own_decide_what_is_fast_enough() -> None:
    limits, slow = Limits(latency_ms=12), Scale(4.0, "mine")
    specs = grid(["mobilenet_v1"], [0.25, 0.1], [(32, 0)])
    shipped, scaled = sweep(specs, BOARD), sweep(specs, BOARD, scale=slow)
    for before, after in zip(shipped, scaled, strict=True):
        assert isinstance(before, Estimate)
        assert isinstance(after, Estimate)
        assert after.latency_ms == pytest.approx(4 * before.latency_ms, rel=1e-4)
    assert [bool(limits.broken(one)) for one in shipped] == [False, False]  # type: ignore[arg-type]
    (best,) = fit(["mobilenet_v1"], BOARD, limits, alphas=(0.25, 0.1), sizes=[(32, 0)], scale=slow).found
    assert best == scaled[1]


def test_fit_says_what_the_nearest_needs_when_nothing_fits() -> None:
    with pytest.raises(FitError, match=r"no mobilenet_v1 fits nucleo_l4r5zi within 0\.001 ms.* which needs \S+ ms"):
        fit(["mobilenet_v1"], BOARD, Limits(latency_ms=0.001), alphas=(0.1, 0.05), sizes=[(32, 0)])


def test_the_arithmetic_needs_no_board(tmp_path: Path) -> None:
    """MobileNetV1 of the paper fits no board, and its layers are shown all the same: as an estimate has them."""
    file = tmp_path / "arithmetic.json"
    whole = ("inspect", "--arch", "mobilenet_v1", "--alpha", "1", "--input-size", "224", "--classes", "1000")
    shown = CliRunner().invoke(cli, [*whole, "--json", str(file)])
    assert shown.exit_code == 0
    assert all(text in shown.output for text in ("568,740,352", "4,231,976"))
    assert "instr." not in shown.output
    assert json.loads(file.read_text())["macs"] == 568_740_352
    small, on_board = arithmetic_of(SMALL, zoo.describe(SMALL)), estimate(SMALL, BOARD)
    assert (small.macs, small.access, small.standard_macs) == (on_board.macs, on_board.access, on_board.standard_macs)
    assert [layer.name for layer in small.layers] == [layer.name for layer in on_board.layers]


def test_images_are_for_those_that_classify_them() -> None:
    assert {"ds_cnn", "autoencoder"}.isdisjoint(for_images())
    assert {"mobilenet_v1", "resnet", "inception"} <= set(for_images())


def test_sizes_of_memory_and_lists_are_read() -> None:
    assert [read_bytes(text, "--max-ram") for text in ("64K", "1m", "512")] == [65_536, 1_048_576, 512]
    assert read_list("32, 48", "--input-size") == ["32", "48"]
    assert read_numbers("0.1,0.25", "--alpha") == [0.1, 0.25]
    for wrong in ("", "K", "12Q", "-1", "0", "1.5K"):
        with pytest.raises(UsageError, match="is no size of memory"):
            read_bytes(wrong, "--max-ram")
    with pytest.raises(UsageError, match="empty part"):
        read_list("32,,48", "--input-size")
    with pytest.raises(UsageError, match="no list of numbers"):
        read_numbers("a", "--alpha")


def test_estimating_needs_no_tensorflow() -> None:
    script = (
        "import sys; from tinydeploy import zoo; from tinydeploy.arithmetic import estimate;"
        "from tinydeploy.boards import load_board;"
        "estimate(zoo.ModelSpec('resnet', 0.1, 8, 1, 10), load_board('stm32f746'));"
        "assert not {'tensorflow', 'keras', 'unicorn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
