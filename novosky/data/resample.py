"""Longer bars from shorter ones, e.g. quarter hours from minutes: made of what exists, nothing filled in."""

from __future__ import annotations

import numpy as np
import pandas as pd

from novosky.errors import DataError
from novosky.market.bars import epoch_seconds, validate_bars
from novosky.market.timeframe import timeframe_name


def resample_bars(bars: pd.DataFrame, seconds: int, to_seconds: int, *, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Put bars of `seconds` together to bars of `to_seconds`.

    A long bar is made of the short bars that exist inside it: first open, highest high, lowest
    low, last close, sums of volume and trades. Its spread is that of its first short bar, which
    is the one an order at the bar's open pays. Where no short bar exists there is no long one.
    The first and the last long bar are left out where the short bars begin or end inside them.

    Parameters
    ----------
    bars : pandas.DataFrame
        Valid bars of `seconds`.
    seconds, to_seconds : int
        Lengths; the second is a multiple of the first.
    source : str
        Where the bars come from, for messages.

    Returns
    -------
    bars : pandas.DataFrame
        Valid bars of `to_seconds`, with the labels of `bars`.
    notes : list of str
        What was left out, and how many bars are made of fewer short ones than fit.

    Raises
    ------
    DataError
        When the lengths do not fit, or no whole bar is left.
    """
    if to_seconds % seconds or to_seconds < seconds:
        raise DataError(
            f"{source}: {timeframe_name(to_seconds)} bars cannot be made of {timeframe_name(seconds)} bars; "
            "give finer bars"
        )
    if seconds == to_seconds:
        return bars, []
    stamps = epoch_seconds(bars)
    opens = stamps // to_seconds * to_seconds
    keep, notes = np.ones(len(stamps), dtype=bool), []
    for end, cut in (("first", stamps[0] > opens[0]), ("last", stamps[-1] + seconds < opens[-1] + to_seconds)):
        if cut:
            edge = int(opens[0] if end == "first" else opens[-1])
            keep &= opens != edge
            moment = pd.Timestamp(edge, unit="s", tz="UTC")
            notes.append(
                f"the {end} {timeframe_name(to_seconds)} bar, {moment:%Y-%m-%d %H:%M} UTC, is not whole: left out"
            )
    if not keep.any():
        raise DataError(f"{source}: holds no whole {timeframe_name(to_seconds)} bar; give more bars")
    frame = _grouped(bars.loc[keep], opens[keep])
    counts = np.unique(opens[keep], return_counts=True)[1]
    short = int((counts < to_seconds // seconds).sum())
    if short:
        notes.append(
            f"{short:,} of {len(frame):,} bars are made of fewer than {to_seconds // seconds} "
            f"{timeframe_name(seconds)} bars, as many as exist"
        )
    frame = validate_bars(frame, source=source, seconds=to_seconds)
    frame.attrs.update(bars.attrs)
    return frame, notes


def _grouped(bars: pd.DataFrame, opens: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pd.DataFrame:
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "spread": "first"}
    groups = bars.groupby(opens, sort=True)
    columns: dict[str, object] = {"time": pd.to_datetime(np.unique(opens), unit="s", utc=True).as_unit("ns")}
    for name in bars.columns.drop("time"):
        # A sum with an unknown part is unknown.
        made = groups[name].agg(rules[name]) if name in rules else groups[name].sum(skipna=False)
        columns[str(name)] = made.to_numpy()
    return pd.DataFrame(columns)
