"""tinydeploy diff, from project folders and from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import refused, succeeds, tinydeploy

pytest.importorskip("unicorn")

PROJECT = "build/stm32f746-small"


def test_a_build_equals_itself_whatever_it_is_given_as(built: Path, tmp_path: Path) -> None:
    measured = tmp_path / "measured.json"
    succeeds("bench", "--project", PROJECT, "--samples", "1", "--json", measured, cwd=built)
    limits = [part for name in ("latency", "ram", "flash") for part in ("--fail-if", f"{name}>+0%")]
    out = succeeds(
        "diff", PROJECT, measured, "--samples", "1", *limits, "--json", tmp_path / "diff.json", cwd=built
    ).out
    told = ("latency ", "cycles ", "ram", "flash")
    changes = [line.split()[-1] for line in out.splitlines() if line.startswith(told)]
    assert changes == ["=", "=", "=", "="]
    assert json.loads((tmp_path / "diff.json").read_text())["passed"] is True


def test_a_limit_fails_with_a_code_of_its_own(built: Path, tmp_path: Path) -> None:
    measured = tmp_path / "measured.json"
    succeeds("bench", "--project", PROJECT, "--samples", "1", "--json", measured, cwd=built)
    stored = json.loads(measured.read_text())
    worse = tmp_path / "worse.json"
    worse.write_text(json.dumps({**stored, "ram_bytes": stored["ram_bytes"] + 100}))
    result = tinydeploy("diff", measured, worse, "--fail-if", "ram>+99", "--markdown", cwd=built)
    assert result.code == 3
    assert "- :x: `ram>+99` ram is " in result.out
    assert tinydeploy("diff", measured, worse, "--fail-if", "ram>+100", cwd=built).code == 0


def test_a_manifest_tells_sizes_but_no_times(built: Path) -> None:
    manifest = f"{PROJECT}/tinydeploy.json"
    out = succeeds("diff", manifest, manifest, cwd=built).out
    assert "arena" in out
    assert "latency" not in out
    message = refused("diff", manifest, manifest, "--fail-if", "latency>+1%", cwd=built)
    assert "the new build does not tell its latency; give a project folder, or JSON of bench" in message
