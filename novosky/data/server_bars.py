"""Bars stamped by a server's clock, in UTC."""

from __future__ import annotations

import pandas as pd

from novosky.market.server_time import RepeatedHour, ServerClock


def on_server_clock(
    bars: pd.DataFrame, clock: ServerClock, seconds: int, repeated: RepeatedHour
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return bars whose `time` is a server's wall clock with UTC times instead, and what is to be said of it.

    Raises
    ------
    DataError
        When the rule knows no such time.
    """
    del seconds
    return bars.assign(time=clock.to_utc(bars["time"], repeated=repeated)), ()
