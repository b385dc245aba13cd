"""A seeded share of the link's fault campaign; benchmarks/link_campaign.py is the whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.link.fault_campaign import CAMPAIGN, TWO_CLIENTS, Subject, make_subject, run_block

from benchmarks.link_campaign import ROOT, SOURCES, read_log, version

INFERENCES = 16


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject(tmp_path_factory.mktemp("campaign"))


@pytest.mark.parametrize("fault", CAMPAIGN)
def test_no_result_is_wrong_nothing_hangs_and_failures_are_told(subject: Subject, fault: str) -> None:
    tally = run_block(subject, fault, INFERENCES, seed=2)
    assert (tally.asked, tally.wrong, tally.hangs) == (INFERENCES, 0, 0)
    assert tally.right + tally.errors.total() == INFERENCES
    assert tally.right >= INFERENCES * 2 // 3
    assert all("retry" in kind or "reset" in kind for kind in tally.errors)
    if fault == "none":
        assert tally.right == INFERENCES
        assert not tally.struck["damage"]
    elif fault != TWO_CLIENTS:
        assert tally.struck.total() > 0


def test_the_same_seed_gives_the_same_campaign(subject: Subject) -> None:
    """Two clients too, which are threads: they run one at a time, and chance is seeded."""
    for fault in ("everything", TWO_CLIENTS):
        assert run_block(subject, fault, 4, seed=3) == run_block(subject, fault, 4, seed=3)


def test_blocks_count_while_the_link_is_what_it_was(tmp_path: Path) -> None:
    log = tmp_path / "board.jsonl"
    now, before = ({"version": name, "fault": "none", "block": 0} for name in (version(), "earlier"))
    log.write_text("".join(json.dumps(entry) + "\n" for entry in (before, now)))
    assert read_log(log) == [now]
    for pattern in SOURCES:
        found = sorted(ROOT.glob(pattern))
        assert found, pattern
        for path in found:
            (copied := tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
    assert version(tmp_path) == version()
    (tmp_path / "tinydeploy/exchange.py").write_text("another link")
    version.cache_clear()
    assert version(tmp_path) != version()
