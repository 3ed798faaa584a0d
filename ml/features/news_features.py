"""Scheduled news as seen when the bar closes, which is when a decision is taken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from novosky.market.bar_arrays import FloatArray, IntArray
from novosky.market.news import MINUTES_PER_DAY, NewsCalendar

from .feature_spec import FeatureSpec
from .indicators import Indicators

NEAR_MINUTES = 60.0
RISK_MINUTES_BEFORE = 15.0
RISK_MINUTES_AFTER = 30.0


def _near(news: NewsCalendar, decided: IntArray) -> FloatArray:
    return (news.minutes_to_nearest(decided) <= NEAR_MINUTES).astype(np.float64)


def _minutes_away(news: NewsCalendar, decided: IntArray) -> FloatArray:
    return np.minimum(news.minutes_to_nearest(decided), MINUTES_PER_DAY) / MINUTES_PER_DAY


def _count_today(news: NewsCalendar, decided: IntArray) -> FloatArray:
    return news.count_on_day(decided).astype(np.float64)


def _risky(news: NewsCalendar, decided: IntArray) -> FloatArray:
    before = news.minutes_to_next(decided) <= RISK_MINUTES_BEFORE
    return (before | (news.minutes_since_last(decided) <= RISK_MINUTES_AFTER)).astype(np.float64)


def _scheduled(
    place: int,
    name: str,
    neutral: float,
    definition: str,
    measure: Callable[[NewsCalendar, IntArray], FloatArray],
) -> FeatureSpec:
    """Return the row of a news column: its neutral value says that nothing is scheduled within a day."""

    def at_the_close(shared: Indicators) -> FloatArray:
        if shared.news is None:
            return np.full(shared.rows, neutral)
        return measure(shared.news, shared.times + shared.bars.bar_seconds)

    return FeatureSpec(place, name, 0, neutral, definition, at_the_close, protected=True)


NEWS: tuple[FeatureSpec, ...] = (
    _scheduled(
        37,
        "is_news_near",
        0.0,
        "1 within 60 minutes of a high-impact release, seen from the bar's close.",
        _near,
    ),
    _scheduled(38, "news_minutes_away", 1.0, "Time to the nearest release over one day, at most 1.", _minutes_away),
    _scheduled(39, "news_count_today", 0.0, "Releases scheduled on the UTC day.", _count_today),
    _scheduled(
        40,
        "is_news_risk_window",
        0.0,
        "1 from 15 minutes before to 30 minutes after a release.",
        _risky,
    ),
)
