"""What the daily report says of the day's drift: its replay in one line, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd

from backtest.day.replay import ReplaySetup, replay_day
from backtest.day.report import day_summary
from engine.inputs.models import Models
from ml.feature_engineering import live_window_bars
from novosky.errors import NovoskyError
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings
from trading.journal import Journal

MOST_DAYS_SINCE = 2
"""A day is reported within the next one."""


def drift_note(
    journal: Journal,
    closed_bars: Callable[[int], pd.DataFrame],
    day: int,
    *,
    settings: Settings,
    ml_settings: MlSettings,
    models: Models,
    news: NewsCalendar | None,
) -> str:
    """Replay a day on the broker's own bars and return the drift in one line.

    A report must not end a bot: what keeps the day from being replayed is the line instead.

    Parameters
    ----------
    journal : Journal
    closed_bars : callable
        Returns the newest so many closed bars, `trading.brokers.port.Broker.closed_bars`.
    day : int
        Midnight of the last full day, UTC epoch seconds.
    settings, ml_settings, models, news
        As the bot runs on them.
    """
    try:
        since = MOST_DAYS_SINCE * settings.frame.bars_per_day
        bars = closed_bars(live_window_bars(settings.frame) + since)
        return day_summary(replay_day(journal, day, ReplaySetup(bars, settings, ml_settings, models, news)))
    except NovoskyError as error:
        return f"No replay of {datetime.fromtimestamp(day, tz=UTC):%Y-%m-%d}: {error}"
