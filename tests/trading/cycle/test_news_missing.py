"""`news.missing`: what a calendar means that is not there, in history and live alike, and that it is said."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import pytest

from engine.inputs.context import UNKNOWN_NEWS, calendar_note, market_context
from engine.inputs.parameters import build_params
from novosky.market.news import NewsCalendar
from novosky.settings import Settings, load_ml_settings, load_settings
from novosky.settings.runtime import News
from tests.contracts.news import NOW
from tests.helpers.news_desk import DAY, week_rows
from tests.hosts.calendar_host import calendar_host
from trading.cycle.news import CalendarState, LiveNews, stored_state
from trading.doctor.calendar import check_calendar

OPENS = np.arange(1_700_000_100, 1_700_000_100 + 900 * 8, 900, dtype=np.int64)
ROOT = Path(__file__).resolve().parents[3]


def settings_of(missing: Literal["trade", "block"], minutes: int = 30) -> Settings:
    settings = load_settings(ROOT / "config.json")
    news = settings.news.model_copy(update={"missing": missing})
    return settings.model_copy(update={"news": news, "news_block_minutes": minutes})


def minutes_of(settings: Settings, news: NewsCalendar | None) -> Any:
    ones = np.ones(len(OPENS))
    return market_context(OPENS, ones, ones, ones, settings, news).news_minutes


@pytest.mark.parametrize("minutes", [0, 30])
def test_without_a_calendar_block_blocks_every_bar_and_trade_none(minutes: int) -> None:
    for missing, blocks in (("trade", False), ("block", True)):
        settings = settings_of(missing, minutes)  # type: ignore[arg-type]
        limit = build_params(settings, load_ml_settings(ROOT / "ml_config.json")).news_minutes
        assert (minutes_of(settings, None) > limit).all() != blocks


def test_with_a_calendar_both_say_the_same() -> None:
    news = NewsCalendar.from_times(np.array([OPENS[3]]))
    assert (minutes_of(settings_of("block"), news) == minutes_of(settings_of("trade"), news)).all()


def test_the_default_goes_on_and_is_written_down() -> None:
    assert News().missing == "trade"
    assert News.model_validate({"missing": "block"}).missing == "block"
    with pytest.raises(ValueError, match="trade"):
        News.model_validate({"missing": "halt"})


def test_a_run_without_a_calendar_says_so() -> None:
    trade, block, off = settings_of("trade"), settings_of("block"), settings_of("trade", 0)
    assert "news gate never acted" in str(calendar_note(minutes_of(trade, None), trade))
    assert "no entry is made" in str(calendar_note(minutes_of(block, None), block))
    assert calendar_note(minutes_of(off, None), off) is None, "nobody asked for the gate"
    news = NewsCalendar.from_times(np.array([OPENS[3]]))
    assert calendar_note(minutes_of(trade, news), trade) is None
    far = NewsCalendar.from_times(np.array([0]))
    assert "covers these bars" in str(calendar_note(minutes_of(trade, far), trade))
    assert calendar_note(np.empty(0), trade) is None


@pytest.mark.parametrize("missing", ["trade", "block"])
def test_live_a_calendar_whose_week_is_over_is_not_known(tmp_path: Path, missing: Literal["trade", "block"]) -> None:
    with calendar_host() as host:
        host.rows = week_rows()
        news = News(base_url=host.url, missing=missing)
        source = LiveNews(tmp_path, news, Random(1))
        assert not source.state(NOW).known, "before the first answer"
        source.refresh(NOW)
        assert source.state(NOW).known
        later = source.state(NOW + 7 * DAY)
        assert not later.known
        assert ("no position is opened" in str(later)) == (missing == "block")
        assert source.calendar(NOW + 7 * DAY) is not None, "features are given what is known"
        assert stored_state(tmp_path, news, NOW) == source.state(NOW)
        assert check_calendar(tmp_path, news, NOW).grade == "OK"
        assert check_calendar(tmp_path, news, NOW + 7 * DAY).grade == "WARN"
        words = "entries are blocked" if missing == "block" else "trades without it"
        assert words in check_calendar(tmp_path / "none", news, NOW).text


def test_stale_but_covering_is_known() -> None:
    assert CalendarState("stale", 9e5).known
    assert not CalendarState("stale", 9e5, over=True).known
    assert not CalendarState("missing").known
    assert UNKNOWN_NEWS < -1.0, "below the setting that switches the gate off"
