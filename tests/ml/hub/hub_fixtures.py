"""A publisher's and a trader's checkout, as fixtures for the tests of the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.hub.folder import FolderStore
from ml.sets.deployment import Deployment
from tests.ml.hub.hub_sets import Publisher, lay_out_checkout, new_signer


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(FolderStore(tmp_path / "hub", create=True), new_signer())


@pytest.fixture
def source(tmp_path: Path) -> Deployment:
    """A developer's checkout."""
    return lay_out_checkout(
        tmp_path / "developer", "new", risk_management={"sl_atr_mult": 2.5}, news_block_minutes=45, max_daily_loss=9.0
    )


@pytest.fixture
def trader(tmp_path: Path) -> Deployment:
    """A trader's checkout with an older set and settings of their own."""
    return lay_out_checkout(
        tmp_path / "trader",
        "old",
        account_type="cent",
        max_daily_loss=3.0,
        risk_profile={"starting_balance_usd": 750},
        costs={"spread": 21.0},
        dynamic_position_sizing={"max_risk_per_trade_pct": 1.9, "max_lot": 0.5},
    )
