"""Every latency that is shown names its origin: what counted or predicted it, and how far off that has been."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Group, RenderableType
from support.measurements import predicted
from support.reports import rendered

import tinydeploy
from tinydeploy import zoo
from tinydeploy.arithmetic import Scale, estimate
from tinydeploy.arithmetic_report import estimate_json, estimate_report
from tinydeploy.boards import load_board
from tinydeploy.classify import Prediction, Run, run_json, run_report
from tinydeploy.constants_place import Choice
from tinydeploy.constants_report import constants_report
from tinydeploy.diff import compare
from tinydeploy.diff_report import diff_json, diff_markdown, diff_report
from tinydeploy.figures import measured_figures
from tinydeploy.latency import Band, by_constants, by_cost_model, by_rules, microseconds, origins
from tinydeploy.measured import comparison_report
from tinydeploy.mlperf import Benchmark
from tinydeploy.mlperf_report import mlperf_json, mlperf_report
from tinydeploy.report import measurement_json, measurement_report
from tinydeploy.search import Found, Search
from tinydeploy.search_report import search_json, search_report
from tinydeploy.sweep import Fitting, Limits
from tinydeploy.sweep_plot import sweep_svg
from tinydeploy.sweep_report import fitting_json, fitting_report, sweep_json, sweep_report

PACKAGE = Path(tinydeploy.__file__).parent
ORIGIN = "ORIGIN of the cycles"
BOARD = load_board("nucleo_f411re")
MEASURED = predicted(cycle_model=ORIGIN)
FIGURES = compare(measured_figures(MEASURED), measured_figures(MEASURED))
RUN = Run("b", "m", "/dev/ttyACM0", 10**6, ORIGIN, None, (Prediction("a.png", (("cat", 1.0),), 950, 950.0),))
BENCHMARK = Benchmark(
    task="kws01", title="keywords", model="m", model_sha256="00", board="b", core="m4", core_hz=10**8, device="port",
    cycle_model=ORIGIN, windows=1, runs_per_window=1, valid_duration=True, latency_us=100.0, throughput_per_s=1e4,
    cycles=10_000, measure="accuracy", quality=None, quality_target=0.9, samples=0, outputs=1, mismatches=0,
)  # fmt: skip
FOUND = Found(
    number=1, worker="here:1", network="n", measure="accuracy", values={}, int8_score=0.9, latency_ms=1.5,
    firmware_ram_bytes=1, firmware_flash_bytes=2, cycle_model=ORIGIN, build=(), on_front=True,
)  # fmt: skip
FORMS = {"narrow": 12, "wide": 9}
CHOICE = dataclasses.asdict(Choice(0, "conv", 8, "flash", {"flash": 10}, "wide", FORMS, FORMS))
SEARCH = Search("study", "sqlite://", ("accuracy", "latency"), (FOUND,), 0, "")


SPEC = zoo.make_spec("mobilenet_v1", alpha=0.1, input_size=(32, 0))
NETWORK = dataclasses.replace(estimate(SPEC, BOARD), cycle_model=ORIGIN)
FITTING = Fitting(BOARD.name, Limits(latency_ms=20), (NETWORK,), (), 1)


# Whatever shows a latency, or cycles.
SHOWN: dict[str, Callable[[], RenderableType | str]] = {
    "bench": lambda: measurement_report(MEASURED),
    "bench --json": lambda: measurement_json(MEASURED),
    "bench --save": lambda: comparison_report(MEASURED, MEASURED),
    "run": lambda: run_report(RUN),
    "run --json": lambda: run_json(RUN),
    "diff": lambda: diff_report(FIGURES),
    "diff --markdown": lambda: diff_markdown(FIGURES),
    "diff --json": lambda: diff_json(FIGURES),
    "mlperf": lambda: mlperf_report([BENCHMARK]),
    "mlperf --json": lambda: mlperf_json([BENCHMARK]),
    "inspect --arch": lambda: estimate_report(NETWORK),
    "inspect --arch --json": lambda: estimate_json(NETWORK),
    "sweep": lambda: sweep_report([NETWORK], BOARD),
    "sweep --json": lambda: sweep_json([NETWORK]),
    "sweep --svg": lambda: sweep_svg([NETWORK], BOARD),
    "fit": lambda: fitting_report(FITTING, BOARD),
    "fit --json": lambda: fitting_json(FITTING),
    "build, inspect": lambda: Group(*constants_report([CHOICE], ORIGIN)),
    "search": lambda: search_report(SEARCH),
    "search --json": lambda: search_json(SEARCH),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_shows_a_latency_names_its_origin(name: str) -> None:
    report = SHOWN[name]()
    text = report if isinstance(report, str) else rendered(report)
    assert re.search(r"latency|\bms\b|cycles", text)
    assert ORIGIN in text


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())


def fields(node: ast.ClassDef) -> set[str]:
    return {a.target.id for a in node.body if isinstance(a, ast.AnnAssign) and isinstance(a.target, ast.Name)}


def test_whatever_holds_a_latency_holds_its_origin() -> None:
    """But for Prediction, which is a part of Run, and Limits, which are what the user asks for."""
    without = {
        f"{name}: {node.name}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(re.match("latency_.*[mu]s$", field) for field in fields(node))
        if "cycle_model" not in fields(node)
    }
    assert without == {"classify.py: Prediction", "sweep.py: Limits"}


def test_times_are_made_into_text_where_their_origin_is_worded() -> None:
    """A new f"{...} ms" somewhere is a latency whose origin nobody checks: latency.microseconds and origins are for it.

    The others are of the line, of a limit that was asked for, or say in the same sentence that the cost model made it.
    """
    found: dict[str, list[str]] = {}
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                for before, after in zip(node.values, node.values[1:], strict=False):
                    if isinstance(before, ast.FormattedValue) and isinstance(after, ast.Constant):
                        unit = re.match(r" (ms|us)\b(.*)", str(after.value), re.DOTALL)
                        if unit is not None and not unit[2].startswith(" by the cost model"):
                            found.setdefault(name, []).append(unit[0])
    assert found == {
        "doctor.py": [" ms at "],
        "latency.py": [" ms", " us"],
        "sweep.py": [" ms, "],
    }


def test_a_band_is_named_where_there_is_one() -> None:
    calibrated = by_constants("mine", "STM32L4R5", 120_000_000, 5, Band(1.5, 3.25, "4 measurements"))
    assert calibrated.endswith(
        "constants mine (calibrated estimate): off by 1.5 % on average, 3.25 % at worst on 4 measurements"
    )
    assert by_constants("mine", "STM32L4R5", 120_000_000, 5, None).endswith("other firmware is not known")
    assert "uncalibrated" in by_rules("rules")


def test_the_cost_model_names_what_it_stands_for() -> None:
    shipped = by_cost_model("STM32F746NG", "Cortex-M7", is_calibrated=True)
    assert re.search(r"within 10 % .* constants stm32f746 \(calibrated estimate\): off by [\d.]+ % on average", shipped)
    for part, known in (("STM32F746NG", False), ("STM32F411RE", True)):
        assert "the Cortex-M7's rules, zero wait states" in by_cost_model(part, "Cortex-M7", is_calibrated=known)
    twice = estimate(SPEC, BOARD, scale=Scale(2.0, "mine"))
    assert (twice.cycles, twice.latency_ms) == (2 * NETWORK.cycles, 2 * NETWORK.latency_ms)
    assert twice.cycle_model.endswith("within 10 % of the virtual board's cycles, scaled by 2 to those by mine")


def test_origins_are_told_once() -> None:
    assert origins([("old", "a"), ("new", "a")]) == ["latency: a"]
    assert origins([("old", "a"), ("new", "b")]) == ["latency, old: a", "latency, new: b"]
    assert origins([("old", None), ("new", "b")]) == ["latency: b"]
    assert origins([("old", None)]) == []


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.2 us"), (999.94, "999.9 us"), (8183.4, "8.183 ms"), (2e6, "2,000.000 ms")]
)
def test_the_unit_suits_the_time(value: float, text: str) -> None:
    assert microseconds(value) == text
