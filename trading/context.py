"""What the gates need to know of each bar besides the model: shared by history and live bar."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from novosky.market.bars import M15_SECONDS
from novosky.market.news import NewsCalendar
from novosky.market.server_time import ServerClock
from novosky.market.sessions import session_mask
from novosky.market.trading_hours import open_at
from novosky.settings import Settings
from trading.engine.candidates import MarketContext


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
        Without a calendar no event is ever near.
    """
    closes = opens + M15_SECONDS
    return MarketContext(
        atr=atr,
        ema_distance=ema_distance,
        adx=adx,
        session=session_mask(closes),
        market_open=open_at(closes, settings.broker.trading_hours, ServerClock(settings.broker.server_clock)),
        news_minutes=np.full(len(closes), np.inf) if news is None else news.minutes_to_nearest(closes),
    )
