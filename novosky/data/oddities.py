"""What in valid bars a person should look at before money follows them: spikes, steps, spreads, decimals.

Nothing here is an error: each is possible in a market, and each is more often a damaged file,
another market's prices or a wrong setting. Nothing is changed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.market.bars import epoch_seconds
from novosky.market.price_steps import price_step_warnings

SPIKE = 25.0
"""A bar is a spike when its range is so many times the median range of the bars around it."""

NEIGHBOURS = 193
"""Bars around one, itself in the middle, that say what is usual: two days of quarter hours."""

QUIET = 0.25
"""What is usual is never less than this part of the median range of all bars."""

STEP = 10.0
"""A step between neighbours is large when it exceeds so many usual ranges, times the root of the bars between."""

SMALL_SPREAD, LARGE_SPREAD = 0.1, 20.0
"""Parts and multiples of the median spread outside which a spread is absurd."""

_Floats = npt.NDArray[np.float64]


def oddities(bars: pd.DataFrame, *, seconds: int, digits: int | None = None, now: float | None = None) -> list[str]:
    """List what is odd in valid bars, one line each, with count and an example.

    Parameters
    ----------
    bars : pandas.DataFrame
    seconds : int
        Length of a bar.
    digits : int, optional
        Decimals that prices should have, where the instrument's settings are known.
    now : float, optional
        The present, UTC epoch seconds; bars of the future are said where it is given.
    """
    usual = _usual_range(bars)
    found = [*_spikes(bars, usual), *_steps(bars, usual, seconds), *spread_oddities(bars)]
    if digits is not None:
        found += price_step_warnings(bars, digits)
    ahead = np.flatnonzero(epoch_seconds(bars) > now + seconds) if now is not None else np.empty(0, dtype=np.intp)
    if len(ahead):
        found.append(
            f"{len(ahead):,} bar(s) open in the future, the first at {_at(bars, ahead[0])}; check the clock rule"
        )
    return found


def _at(bars: pd.DataFrame, row: int | np.intp) -> str:
    return f"{bars['time'].iloc[int(row)]:%Y-%m-%d %H:%M} UTC"


def _usual_range(bars: pd.DataFrame) -> _Floats:
    """Return the median range around each bar as a part of its price, above zero."""
    relative = ((bars["high"] - bars["low"]) / bars["close"]).replace(0.0, np.nan)
    around = relative.rolling(NEIGHBOURS, center=True, min_periods=20).median()
    everywhere = float(relative.median()) if relative.notna().any() else np.nan
    # In dead hours the minutes move by a tick or not at all, and any trade would be a spike.
    return np.asarray(around.fillna(everywhere).clip(lower=QUIET * everywhere), dtype=np.float64)


def _spikes(bars: pd.DataFrame, usual: _Floats) -> list[str]:
    times = np.asarray((bars["high"] - bars["low"]) / bars["close"], dtype=np.float64) / usual
    spikes = np.flatnonzero(times > SPIKE)
    if not len(spikes):
        return []
    worst = int(spikes[np.argmax(times[spikes])])
    return [
        f"{len(spikes):,} bar(s) with a range above {SPIKE:g} times the usual one, the largest at {_at(bars, worst)}: "
        f"{bars['low'].iloc[worst]:g} to {bars['high'].iloc[worst]:g}, {times[worst]:.0f} times; look at it in another "
        "source before stops and targets are tested on it"
    ]


def _steps(bars: pd.DataFrame, usual: _Floats, seconds: int) -> list[str]:
    if len(bars) < 2:
        return []
    before, after = bars["close"].to_numpy()[:-1], bars["open"].to_numpy()[1:]
    between = np.diff(epoch_seconds(bars)) / seconds
    moved = np.abs(np.log(after / before))
    most = usual[:-1] * np.maximum(SPIKE, STEP * np.sqrt(between))
    steps = np.flatnonzero(moved > most) + 1
    if not len(steps):
        return []
    worst = int(steps[np.argmax((moved / most)[steps - 1])])
    return [
        f"{len(steps):,} step(s) of the price between neighbouring bars that one market rarely makes, the largest at "
        f"{_at(bars, worst)}: from {before[worst - 1]:g} to {after[worst - 1]:g}; another market's prices, or a split"
    ]


def spread_oddities(bars: pd.DataFrame) -> list[str]:
    """List what is odd in the spread column of bars, with counts and examples in points."""
    if "spread" not in bars:
        return []
    spread = bars["spread"].to_numpy()
    zero = np.flatnonzero(spread == 0)
    found = []
    if len(zero):
        found.append(
            f"{len(zero):,} of {len(bars):,} bars have spread 0, the first at {_at(bars, zero[0])}; that is not known "
            "or the bar's least, not free"
        )
    positive = spread[spread > 0]
    usual = float(np.median(positive)) if len(positive) else 0.0
    for rows, what in (
        (np.flatnonzero((spread > 0) & (spread < SMALL_SPREAD * usual)), f"below {SMALL_SPREAD:g} times"),
        (np.flatnonzero(spread > LARGE_SPREAD * usual), f"above {LARGE_SPREAD:g} times"),
    ):
        if len(rows) and usual > 0:
            found.append(
                f"{len(rows):,} bar(s) have a spread {what} the median of {usual:g} points, e.g. {spread[rows[0]]:g} "
                f"at {_at(bars, rows[0])}"
            )
    return found
