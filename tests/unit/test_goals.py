"""The benchmark's table of goals: every target is held against what was measured, and the text says how far it is."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.goals import GOALS, TFLM, Figure, lines
from benchmarks.table import goals_report

M4: Mapping[Figure, int] = {
    "instructions": 12_000_000,
    "cycles": 14_500_000,
    "ram_bytes": 39_000,
    "flash_bytes": 110_010,
}


def text(measured: Mapping[str, Mapping[Figure, int]]) -> list[str]:
    console = Console(file=io.StringIO(), width=120, highlight=False)
    console.print(goals_report(lines(measured)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_each_figure_is_met_or_missed_by_its_distance() -> None:
    found = {line.figure: (line.met, round(line.over, 4)) for line in lines({"ic": M4})}
    assert found == {
        "instructions": (False, 0.0909),
        "cycles": (True, 0.0),
        "ram_bytes": (True, -0.025),
        "flash_bytes": (False, 0.0001),
    }


def test_the_table_says_it_in_a_hundred_columns() -> None:
    over = {
        goal.name: {**M4, **{f: round(1.04 * target) for f, target in goal.at_most.items()}}
        if goal.at_most
        else {"instructions": 300_000}
        for goal in GOALS
    }
    rows = text(over)
    assert max(len(row) for row in rows) <= 100
    ic = [row.split() for row in text({"ic": M4})]
    assert ["ic", "insn", "29,862,853", "11,000,000", "12,000,000", "0.40", "missed", "by", "9.1", "%"] in ic
    assert ["cycles", "36,800,000", "14,500,000", "14,500,000", "0.39", "met", "by", "0.0", "%", "19,810,000"] in ic
    assert ["flash", "B", "149,780", "110,000", "110,010", "0.73", "missed", "by", "<0.1", "%"] in ic


@pytest.mark.parametrize(("m7", "met"), [(12_000_000, True), (12_000_001, False)])
def test_a_relative_target_follows_what_it_refers_to(m7: int, met: bool) -> None:
    found = [line for line in lines({"ic": M4, "ic on M7": {"instructions": m7}}) if line.goal == "ic on M7"]
    assert [(line.target, line.met) for line in found] == [(12_000_000, met)]
    assert not lines({"ic on M7": {"instructions": m7}}), "without the M4's count there is nothing to hold it against"


def test_every_goal_is_of_a_known_model_and_refers_to_an_earlier_one() -> None:
    known: list[str] = []
    for goal in GOALS:
        assert goal.model in TFLM
        assert goal.at_most or goal.relative, goal.name
        assert goal.name not in known
        assert all(other in known for _, other, _ in goal.relative), goal.name
        known.append(goal.name)
