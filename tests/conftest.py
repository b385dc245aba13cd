"""What every test may rely on: ``support`` is importable, and ``shared_models`` finds the reference models."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

SHARED_MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"


@pytest.fixture(scope="session")
def shared_models() -> list[Path]:
    """The reference models in ../shared/models; the test is skipped where a checkout has none."""
    models = sorted(SHARED_MODELS.glob("*.tflite"))
    if not models:
        pytest.skip(f"no .tflite files in {SHARED_MODELS}")
    return models


def pytest_configure() -> None:
    """Commands under test hear Ctrl-C: what a shell starts in the background ignores it, and so would its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of this suite."""
    parser.addoption(
        "--all-cores", action="store_true", help="run every operator case on every virtual core, not shared among them"
    )
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/expected instead of comparing")
