"""The paper account's adapter on real prices: what is decided too late is not traded at a price of before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.port import LIVE_ENTRY_SECONDS, Quote


class TimelyBroker(Mt5Broker):
    """Tells the time on the wall with a quote that has become old while the feed or the bot was away.

    The simulated market knows only the moments of its bars: a bot that comes back ten minutes
    after a close would else enter at the open of ten minutes ago.

    Parameters
    ----------
    now : callable
        Real time, UTC epoch seconds.
    """

    def __init__(self, *args: Any, now: Callable[[], float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now = now

    def quote(self) -> Quote:
        """Return the newest quote; one that is no longer the market's carries the present time."""
        quote, now = super().quote(), int(self._now())
        return replace(quote, time=now) if now - quote.time > LIVE_ENTRY_SECONDS else quote
