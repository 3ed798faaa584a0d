"""What the gates need to know of each bar besides the model: shared by history and live bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from novosky.market.news import NewsCalendar
from novosky.market.server_time import ServerClock
from novosky.market.sessions import session_mask
from novosky.market.trading_hours import open_at
from novosky.settings import Settings

UNKNOWN_NEWS = -2.0
"""Minutes to the nearest release where none is known and that is to block entries: below every
setting of the news gate, also below the one that switches it off (`engine.inputs.parameters`)."""


@dataclass(frozen=True)
class MarketContext:
    """What the gates ask about each bar besides the model; every array has shape (n,).

    An input is added as a field here, computed in `market_context`; a gate reads it under the
    same name from the candidate (`Inputs` of its group in `engine.gates`).

    Attributes
    ----------
    atr : ndarray
        ATR(14) in USD.
    ema_distance : ndarray
        Close minus EMA200 in ATR.
    adx : ndarray
        ADX(14).
    session : ndarray of int
        Session bits at the bar's close: 1 London, 2 New York, 4 Asian.
    market_open : ndarray of bool
        Whether the broker deals at the bar's close.
    news_minutes : ndarray
        Minutes from the close to the nearest high-impact event, infinity when none is near.
    """

    atr: npt.NDArray[np.float64]
    ema_distance: npt.NDArray[np.float64]
    adx: npt.NDArray[np.float64]
    session: npt.NDArray[np.uint8]
    market_open: npt.NDArray[np.bool_]
    news_minutes: npt.NDArray[np.float64]

    def columns(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return every column by the field of the candidate it becomes."""
        return vars(self)


def market_context(
    opens: npt.NDArray[np.int64],
    atr: npt.NDArray[np.float64],
    ema_distance: npt.NDArray[np.float64],
    adx: npt.NDArray[np.float64],
    settings: Settings,
    news: NewsCalendar | None,
) -> MarketContext:
    """Return the gate inputs of every bar, as known at its close.

    Parameters
    ----------
    opens : ndarray of int64, shape (n,)
        Bar opens, UTC epoch seconds.
    atr, ema_distance, adx : ndarray, shape (n,)
        The context columns of `ml.feature_engineering`.
    settings : Settings
        Trading hours and server clock.
    news : NewsCalendar or None
        Without a calendar `news.missing` decides: no event is ever near, or every bar is blocked.
    """
    closes = opens + settings.frame.seconds
    unknown = UNKNOWN_NEWS if settings.news.missing == "block" else np.inf
    return MarketContext(
        atr=atr,
        ema_distance=ema_distance,
        adx=adx,
        session=session_mask(closes),
        market_open=open_at(closes, settings.broker.trading_hours, ServerClock(settings.broker.server_clock)),
        news_minutes=np.full(len(closes), unknown) if news is None else news.minutes_to_nearest(closes),
    )


def calendar_note(news_minutes: npt.NDArray[np.float64], settings: Settings) -> str | None:
    """Say what a history without a news calendar means for its run; None where one covers it.

    Parameters
    ----------
    news_minutes : ndarray
        Of `MarketContext`.
    settings : Settings
    """
    if len(news_minutes) == 0:
        return None
    if (news_minutes == UNKNOWN_NEWS).all():
        return 'No news calendar, and news.missing is "block": no entry is made; give --calendar'
    if settings.news_block_minutes > 0 and np.isinf(news_minutes).all():
        return "No news calendar covers these bars: the news gate never acted; give --calendar"
    return None
