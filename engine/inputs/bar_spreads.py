"""What each bar costs to cross: its own spread where it states one, `costs.spread` where it does not.

The one place for backtest, sweep, walk-forward, paper replay and simulated terminal. A spread of
0 in a bar means "unknown", or the least of a bar whose other quotes were wider; it is not free.
Bars that state nothing, or less than a tenth of `costs.spread`, therefore pay `costs.spread`,
unless `costs.bar_spread` is ``as_is``. Wide spreads are paid as they stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.errors import DataError, SettingsError
from novosky.settings import Settings

FLOOR_SHARE = 0.1
"""A bar's spread below this share of `costs.spread` is taken for a gap in the record."""
WIDE_SHARE = 0.05
"""A spread above this share of the price is another unit or another symbol's."""


@dataclass(frozen=True)
class BarSpreads:
    """The spreads of a window.

    Attributes
    ----------
    usd : ndarray of float, shape (n,)
        Ask minus bid in USD, on the price grid.
    unknown : int
        Bars with a spread of their own that is 0 or far below `costs.spread`.
    floored : int
        How many of them pay `costs.spread` instead.
    wide : int
        Bars whose spread is more than a twentieth of their price.
    remarks : tuple of str
        What every output says of them; empty where there is nothing to say.
    """

    usd: npt.NDArray[np.float64]
    unknown: int
    floored: int
    wide: int
    remarks: tuple[str, ...]


def bar_spreads(bars: pd.DataFrame, settings: Settings, *, fixed: bool) -> BarSpreads:
    """Return what the bars cost.

    Parameters
    ----------
    bars : pandas.DataFrame
        A bar frame; `spread`, where it has one, in points.
    settings : Settings
        `costs.spread`, `costs.slippage`, `costs.bar_spread`, `broker.point` and `broker.digits`.
    fixed : bool
        True when `costs.spread` replaces the bars' own: it was given with ``--spread``.

    Raises
    ------
    SettingsError
        `costs.spread` or `costs.slippage` is no cost of bars at these prices.
    DataError
        The bars' own spreads are not; names the first.
    """
    stated = settings.costs.spread
    price = bars["close"].to_numpy(dtype=np.float64)
    own = "spread" in bars.columns and not fixed
    usd = np.full(len(bars), stated)
    low = np.zeros(len(bars), dtype=np.bool_)
    if own:
        usd = bars["spread"].to_numpy(dtype=np.float64) * settings.broker.point
        low = (usd <= 0.0) | (usd < FLOOR_SHARE * stated)
        _refuse_foreign(bars, usd, price)
    floored = low if settings.costs.bar_spread == "floor" else np.zeros_like(low)
    usd = np.where(floored, stated, usd)
    if not own or floored.any():
        _refuse_foreign_cost("spread", stated, price)
    _refuse_foreign_cost("slippage", settings.costs.slippage, price)
    scale = 10.0**settings.broker.digits
    usd = np.floor(usd * scale + 0.5) / scale
    counts = int(low.sum()), int(floored.sum()), int((usd > WIDE_SHARE * price).sum())
    return BarSpreads(usd, *counts, _remarks(bars, usd, settings, counts))


def _refuse_foreign(bars: pd.DataFrame, usd: npt.NDArray[np.float64], price: npt.NDArray[np.float64]) -> None:
    worst = usd >= price
    if worst.any() or np.median(usd) > WIDE_SHARE * np.median(price):
        row = int(np.argmax(worst)) if worst.any() else int(np.argmax(usd > WIDE_SHARE * price))
        raise DataError(
            f"row {row} ({bars['time'].iloc[row]}): a spread of {usd[row]:g} USD at a price of {price[row]:g}, "
            f"{usd[row] / price[row]:.2g} times of it; the bars' spread counts broker.point, so correct that or the "
            "file, or replace the bars' spread with --spread"
        )


def _refuse_foreign_cost(name: str, stated: float, price: npt.NDArray[np.float64]) -> None:
    typical = float(np.median(price))
    if stated > WIDE_SHARE * typical:
        raise SettingsError(
            f"costs.{name} is {stated:g} USD, {stated / typical:.2g} times the bars' median price of {typical:g}: "
            f"these costs belong to another symbol; correct costs in config.json, or give --{name}"
        )


def _remarks(
    bars: pd.DataFrame, usd: npt.NDArray[np.float64], settings: Settings, counts: tuple[int, int, int]
) -> tuple[str, ...]:
    unknown, floored, wide = counts
    stated, total, found = settings.costs.spread, len(bars), []
    if floored:
        found.append(
            f"Spread: {floored:,} of {total:,} bars state none, or less than a tenth of costs.spread; they pay "
            f"{stated:g} USD (costs.bar_spread as_is would take them as they are)"
        )
    elif unknown:
        found.append(
            f"Spread: {unknown:,} of {total:,} bars state none, or less than a tenth of costs.spread ({stated:g} USD), "
            "and pay no more, because costs.bar_spread is as_is"
        )
    if wide:
        found.append(f"Spread: {wide:,} of {total:,} bars state more than a twentieth of their price, and pay it")
    spans = float(np.median(bars["high"].to_numpy(dtype=np.float64) - bars["low"].to_numpy(dtype=np.float64)))
    typical = float(np.median(usd))
    if typical > spans > 0.0:
        found.append(
            f"Spread: {typical:g} USD is {typical / spans:.1f} times the median bar's range of {spans:g} USD; "
            "are these the costs of this symbol?"
        )
    return tuple(found)
