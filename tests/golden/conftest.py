"""Golden files: what tinydeploy writes and prints, kept to be read and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

EXPECTED = Path(__file__).parent / "expected"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with tests/golden/expected/<name>; ``pytest --update-golden`` writes it there instead."""

    def check(name: str, text: str) -> None:
        path = EXPECTED / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return
        assert path.is_file(), f"{name} is new: look at it after pytest tests/golden --update-golden"
        assert text == path.read_text(), f"{name} has changed; if it should, pytest tests/golden --update-golden"

    return check
