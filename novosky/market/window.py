"""The window of bars that a command works on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from novosky.market.timeframe import Timeframe


def choose_window(
    times: pd.Series[pd.Timestamp],
    start: datetime | None,
    end: datetime | None,
    days: int,
    cutoff: pd.Timestamp | None,
    frame: Timeframe,
) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """Return the window's bounds, for bars of a time frame.

    Without `start` the window is the last `days` days before its end. A `cutoff` moves the
    beginning behind the training data, whatever was asked for.

    Raises
    ------
    UsageError
        The end is not after the start.
    DataError
        Every bar of the window was seen in training.
    """
    import pandas as pd

    from novosky.errors import DataError, UsageError

    if start is not None and end is not None and end <= start:
        raise UsageError(f"--end {end:%Y-%m-%dT%H:%M} is not after --start {start:%Y-%m-%dT%H:%M}")
    last = pd.Timestamp(end) if end is not None else times.iloc[-1] + pd.Timedelta(seconds=frame.seconds)
    first = pd.Timestamp(start) if start is not None else last - timedelta(days=days)
    if cutoff is not None:
        first = max(first, cutoff + pd.Timedelta(seconds=frame.seconds))
        if first >= last:
            raise DataError(
                f"no bar is out of sample: the models know everything up to {cutoff:%Y-%m-%d %H:%M} UTC; "
                "give newer bars or a later --oos-end, or train with an earlier --end"
            )
    return first.tz_convert(UTC), last.tz_convert(UTC)
