"""Two builds side by side: what counts as a change, what a limit means, and how it is shown."""

from __future__ import annotations

import dataclasses
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tinydeploy.diff import compare, parse_limit
from tinydeploy.diff_report import diff_json, diff_markdown, diff_report
from tinydeploy.errors import UsageError
from tinydeploy.figures import Figures, LayerFigures, read_figures

OLD = Figures(
    model="kws",
    board="nucleo_l4r5zi",
    latency_us=20_000.0,
    cycles=2_400_000,
    instructions=None,
    ram_bytes=10_240,
    arena_bytes=10_000,
    stack_bytes=240,
    flash_bytes=65_536,
    accuracy=91.5,
    macs=2_000_000,
    exact=True,
    cycle_model="rules of a core",
    layers=(
        LayerFigures("conv", "CONV_2D", 1_500_000, 2_000_000),
        LayerFigures("pool", "MAX_POOL_2D", 0, 300_000),
        LayerFigures("dense", "FULLY_CONNECTED", 500_000, 100_000),
    ),
)


def new(**changes: Any) -> Figures:
    return dataclasses.replace(OLD, **changes)


@pytest.mark.parametrize(
    ("limit", "changes", "holds"),
    [
        ("ram>+2%", {"ram_bytes": 10_444}, False),  # 1.99 %
        ("ram>+2%", {"ram_bytes": 10_445}, True),
        ("ram > +0%", {}, False),
        ("ram>+0%", {"ram_bytes": 10_241}, True),
        ("ram<-50%", {"ram_bytes": 5_000}, True),
        ("flash>+512", {"flash_bytes": 66_048}, False),
        ("flash>+512", {"flash_bytes": 66_049}, True),
        ("flash>+1K", {"flash_bytes": 66_561}, True),
        ("flash>64K", {}, False),
        ("flash>64KB", {"flash_bytes": 65_537}, True),
        ("flash<0.1M", {}, True),
        ("latency>20ms", {}, False),
        ("latency>20ms", {"latency_us": 20_000.5}, True),
        ("latency>0.02s", {"latency_us": 19_000.0}, False),
        ("latency>+100us", {"latency_us": 20_101.0}, True),
        ("latency>+100", {"latency_us": 20_099.0}, False),
        ("accuracy<-0.5", {"accuracy": 91.0}, False),
        ("accuracy<-0.5", {"accuracy": 90.9}, True),
        ("accuracy<90%", {"accuracy": 89.9}, True),
        ("accuracy<-1%", {"accuracy": 90.6}, False),
        ("accuracy<-1%", {"accuracy": 90.5}, True),
        ("cycles>+5%", {"cycles": 2_520_001}, True),
    ],
)
def test_a_limit_holds_or_does_not(limit: str, changes: dict[str, Any], holds: bool) -> None:
    assert bool(compare(OLD, new(**changes), [parse_limit(limit)]).failures) is holds


def test_growth_from_nothing_is_beyond_all_per_cents() -> None:
    found = compare(new(stack_bytes=0), OLD, [parse_limit("stack>+1000%")])
    assert [failure.text for failure in found.failures] == ["stack>+1000%: stack is 240 B, was 0 B (new)"]


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("ram", "is not METRIC>BOUND or METRIC<BOUND"),
        ("ram>=+2%", "is not METRIC>BOUND or METRIC<BOUND"),
        ("ram>+-2%", "is not METRIC>BOUND or METRIC<BOUND"),
        ("rams>+2%", "there is no metric 'rams'; did you mean 'ram'?"),
        ("heat>1", "there is no metric 'heat'; there are latency, cycles"),
        ("ram>2%", "ram takes B, K, KB, M, MB, and % of a change with its sign, not '%'"),
        ("cycles>2K", "cycles takes no unit, and % of a change with its sign, not 'K'"),
        ("latency>+2min", "latency takes us, ms, s, and % of a change with its sign, not 'min'"),
    ],
)
def test_a_limit_that_says_nothing_is_refused(limit: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_limit(limit)
    assert sentence in str(caught.value)


def test_a_limit_of_what_a_build_does_not_tell_is_refused() -> None:
    for old, other in ((OLD, new(latency_us=None)), (new(latency_us=None), OLD)):
        with pytest.raises(UsageError, match="build does not tell its latency; give a project folder"):
            compare(old, other, [parse_limit("latency>+2%")])


def test_layers_stand_beside_their_like() -> None:
    conv, pool, dense = OLD.layers
    other = LayerFigures("gather", "GATHER", 0, 50)
    rows = compare(OLD, new(layers=(other, conv, dense))).layers
    assert [(row.old, row.new) for row in rows] == [(None, other), (conv, conv), (pool, None), (dense, dense)]


def text(figures: Figures) -> str:
    console = Console(file=StringIO(), width=100)
    console.print(diff_report(compare(OLD, figures, [parse_limit("ram>+2%")])))
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_the_table_shows_what_changed() -> None:
    conv, *rest = OLD.layers
    shown = text(
        new(
            latency_us=15_000.0,
            ram_bytes=11_264,
            accuracy=91.25,
            exact=False,
            layers=(dataclasses.replace(conv, cycles=1_000_000), *rest),
        )
    )
    assert (
        shown
        == """\
old, new: kws on nucleo_l4r5zi

                 old         new         change
───────────────────────────────────────────────
latency    20.000 ms   15.000 ms        -25.0 %
cycles     2,400,000   2,400,000              =
ram         10,240 B    11,264 B        +10.0 %
arena       10,000 B    10,000 B              =
stack          240 B       240 B              =
flash       65,536 B    65,536 B              =
accuracy     91.50 %     91.25 %   -0.25 points
macs       2,000,000   2,000,000              =
outputs    all exact      DIFFER

layer   op                cycles, old   cycles, new    change
─────────────────────────────────────────────────────────────
conv    CONV_2D             2,000,000     1,000,000   -50.0 %
pool    MAX_POOL_2D           300,000       300,000         =
dense   FULLY_CONNECTED       100,000       100,000         =

latency: rules of a core
fails  ram>+2%: ram is 11,264 B, was 10,240 B (+10.0 %)"""
    )


def test_markdown_is_for_a_pull_request() -> None:
    found = compare(OLD, new(ram_bytes=11_264, board="pico|2"), [parse_limit("ram>+2%")])
    lines = diff_markdown(found).splitlines()
    assert lines[:3] == [
        "### old: kws on nucleo_l4r5zi, new: kws on pico|2",
        "",
        "- :x: `ram>+2%` ram is 11,264 B, was 10,240 B (+10.0 %)",
    ]
    assert "| ram | 10,240 B | 11,264 B | +10.0 % |" in lines
    assert "| pool | MAX_POOL_2D | 300,000 | 300,000 | = |" in lines
    assert lines.count("</details>") == 1


def test_markdown_of_builds_without_times_has_no_layers() -> None:
    bare = new(latency_us=None, cycles=None, cycle_model=None, layers=())
    lines = diff_markdown(compare(bare, bare, [])).splitlines()
    assert lines[-1] == "| outputs | all exact | all exact |  |"


def test_markdown_gives_each_origin_a_paragraph() -> None:
    lines = diff_markdown(compare(OLD, new(cycle_model="another"), [])).splitlines()
    start = lines.index("latency, old: rules of a core")
    assert lines[start : start + 3] == ["latency, old: rules of a core", "", "latency, new: another"]


def test_json_has_everything() -> None:
    stored = json.loads(diff_json(compare(OLD, new(ram_bytes=11_264), [parse_limit("ram>+2%")])))
    assert stored["passed"] is False
    assert [failure["limit"] for failure in stored["failures"]] == ["ram>+2%"]
    assert (stored["old"]["ram_bytes"], stored["new"]["ram_bytes"]) == (10_240, 11_264)
    assert stored["layers"][1]["old"] == {"name": "pool", "op": "MAX_POOL_2D", "macs": 0, "cycles": 300_000}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is no JSON"),
        ("{}", "is neither of bench (--json) nor of build"),
        ('{"per_layer": []}', "is not as bench or build write it (KeyError('accuracy')); write it again"),
        ('{"steps": 7, "model_name": "x", "board": "y", "arena_bytes": "z"}', "is not as bench or build write it"),
        ("[]", "is neither of bench"),
        ("7", "is not as bench or build write it"),
    ],
)
def test_other_files_are_refused(content: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        read_figures(path, 1)
    assert sentence in str(caught.value)
