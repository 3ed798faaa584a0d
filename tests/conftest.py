"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full`, which runs the long campaigns at their full length."""
    parser.addoption("--full", action="store_true", help="run the long campaigns at full length")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real bars, which is not part of the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "BTCUSD_M15.parquet").exists():
        pytest.skip(f"real bars are not present at {folder}")
    return folder
