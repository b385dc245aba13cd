"""A seeded share of the link's fault campaign; benchmarks/link_campaign.py is the whole."""

from __future__ import annotations

import pytest
from support.link.fault_campaign import CAMPAIGN, TWO_CLIENTS, Subject, make_subject, run_block

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
