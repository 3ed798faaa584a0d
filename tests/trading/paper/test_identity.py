"""Which changes make a paper account another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from novosky.data.synthetic import synthetic_bars
from novosky.market.news import NewsCalendar
from novosky.settings import load_ml_settings, load_settings
from trading.paper.session import PaperMarket, market_identity


@pytest.fixture
def market() -> PaperMarket:
    return PaperMarket("replay", synthetic_bars("null", 300, seed=3), 100, None, fixed_spread=False)


def test_a_replay_is_identified_by_bars_settings_models_and_news(market: PaperMarket, root: Path) -> None:
    settings, ml_settings = load_settings(root / "config.json"), load_ml_settings(root / "ml_config.json")
    news = NewsCalendar.from_times(np.array([1_641_200_000]))
    dearer = settings.model_copy(update={"costs": settings.costs.model_copy(update={"spread": 20.0})})
    identities = {
        market_identity(market, settings, ml_settings, "a", None),
        market_identity(market, settings, ml_settings, "b", None),
        market_identity(market, settings, ml_settings, "a", news),
        market_identity(market, dearer, ml_settings, "a", None),
        market_identity(replace(market, first=101), settings, ml_settings, "a", None),
    }
    assert len(identities) == 5
    assert market_identity(market, settings, ml_settings, "a", None) in identities
