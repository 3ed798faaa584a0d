"""Scheduled news as seen when the bar closes, which is when a decision is taken."""

from __future__ import annotations

import numpy as np

from novosky.market.news import MINUTES_PER_DAY, NewsCalendar
from novosky.market.timeframe import USUAL

from .bar_arrays import FloatArray, IntArray

NEAR_MINUTES = 60.0
RISK_MINUTES_BEFORE = 15.0
RISK_MINUTES_AFTER = 30.0

# What each column says when no calendar is given: nothing is scheduled within a day.
NEWS_NEUTRAL: dict[str, float] = {
    "is_news_near": 0.0,
    "news_minutes_away": 1.0,
    "news_count_today": 0.0,
    "is_news_risk_window": 0.0,
}


def news_features(times: IntArray, news: NewsCalendar | None) -> dict[str, FloatArray]:
    """Return the four news columns, each of shape (n,).

    Parameters
    ----------
    times : ndarray of int64, shape (n,)
        Bar opens in seconds since 1970-01-01 UTC.
    news : NewsCalendar or None
        Without one every column takes its declared neutral value.
    """
    if news is None:
        return {name: np.full(times.shape, neutral) for name, neutral in NEWS_NEUTRAL.items()}
    decided = times + USUAL.seconds
    nearest = news.minutes_to_nearest(decided)
    risky = news.minutes_to_next(decided) <= RISK_MINUTES_BEFORE
    risky |= news.minutes_since_last(decided) <= RISK_MINUTES_AFTER
    return {
        "is_news_near": (nearest <= NEAR_MINUTES).astype(np.float64),
        "news_minutes_away": np.minimum(nearest, MINUTES_PER_DAY) / MINUTES_PER_DAY,
        "news_count_today": news.count_on_day(decided).astype(np.float64),
        "is_news_risk_window": risky.astype(np.float64),
    }
