"""The example workflow for GitHub: its commands, run where a pull request's model and a target branch's are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import environment
from support.link.projects import small_model

pytest.importorskip("unicorn")
yaml = pytest.importorskip("yaml")

WORKFLOW = Path(__file__).resolve().parents[2] / "docs" / "examples" / "model.yml"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_its_commands_measure_a_pull_request(tmp_path: Path) -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    (job,) = workflow["jobs"].values()
    git(tmp_path, "init", "-q")
    (tmp_path / job["env"]["MODEL"]).write_bytes(small_model())
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "target")
    git(tmp_path, "update-ref", "refs/remotes/origin/main", "HEAD")

    summary = tmp_path / "summary.md"
    variables = environment(
        **job["env"],
        GITHUB_BASE_REF="main",
        GITHUB_STEP_SUMMARY=str(summary),
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    assert job["defaults"]["run"]["shell"] == "bash"
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[0] == "pip install 'tinydeploy[virtual,oracle]'"
    for command in commands[1:]:
        # As GitHub runs them with that shell.
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert summary.read_text().startswith("### old, new: model on nucleo_l4r5zi\n")
    assert "| latency | " in summary.read_text()
