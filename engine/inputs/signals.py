"""From measured bars to candidates: the one composition, for one row and for a history.

A history is measured at once, the bot's newest bar alone; both go through `ask_signals` and
`signal_candidates`, and a row's answer does not depend on the rows beside it. So the candidate
of a bar is the same bytes in backtest, sweep, paper replay and bot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.candidates import find_candidates
from engine.inputs.brackets import bracket_multiples, side_distances
from engine.inputs.context import MarketContext, market_context
from engine.inputs.models import SignalModel, SltpModel
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MeasuredBars:
    """What is known of n bars at their closes before a model is asked; NaN where not warm.

    Attributes
    ----------
    number : ndarray of int64, shape (n,)
        What a candidate calls its bar: its row in the frame that the engine runs over, or its
        close (UTC epoch seconds) where there is no frame. Ascending.
    opens : ndarray of int64, shape (n,)
        Bar opens, UTC epoch seconds.
    features : ndarray, shape (n, k)
        In the order of ml_config.json.
    atr : ndarray, shape (n,)
        ATR(14) in USD.
    ema_distance : ndarray, shape (n,)
        Close minus EMA200 in ATR.
    adx : ndarray, shape (n,)
        ADX(14).
    """

    number: IntArray
    opens: IntArray
    features: FloatArray
    atr: FloatArray
    ema_distance: FloatArray
    adx: FloatArray

    def warm_rows(self) -> IntArray:
        """Return the rows at which everything is known; at the others no model speaks and nothing may trade."""
        warm = np.isfinite(self.features).all(axis=1)
        for column in (self.atr, self.ema_distance, self.adx):
            warm = warm & np.isfinite(column)
        return np.flatnonzero(warm).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Signals:
    """What the models say of the warm bars, and what the gates ask about them.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        The bars' `MeasuredBars.number`.
    features : ndarray, shape (m, k)
    probabilities : ndarray, shape (m, members, 3)
        Of HOLD, BUY, SELL.
    context : MarketContext
        With arrays of shape (m,).
    distances : ndarray, shape (m, 2), or None
        Stop and target in ATR for the likeliest side, from the SLTP model and not clamped;
        None without one.
    """

    rows: IntArray
    features: FloatArray
    probabilities: FloatArray
    context: MarketContext
    distances: FloatArray | None = None

    def with_distances(self, sltp: SltpModel | None) -> Signals:
        """Return the same with what this SLTP model says of the brackets; unchanged when None."""
        if sltp is None:
            return self
        return replace(self, distances=side_distances(sltp, self.features, self.probabilities))

    def answered(self, rows: npt.NDArray[np.intp], probabilities: FloatArray, distances: FloatArray | None) -> Signals:
        """Return some of the rows with other answers than the models gave.

        Parameters
        ----------
        rows : ndarray of int, shape (k,)
            Places among the m rows, ascending.
        probabilities : ndarray, shape (k, members, 3)
        distances : ndarray, shape (k, 2), or None
        """
        columns = {name: column[rows] for name, column in self.context.columns().items()}
        return Signals(self.rows[rows], self.features[rows], probabilities, MarketContext(**columns), distances)

    def atr_of_bars(self, count: int) -> FloatArray:
        """Return the ATR in USD of `count` bars numbered from 0, NaN where no model speaks, shape (count,)."""
        atr = np.full(count, np.nan)
        atr[self.rows] = self.context.atr
        return atr


def ask_signals(
    measured: MeasuredBars,
    settings: Settings,
    model: SignalModel,
    sltp: SltpModel | None,
    news: NewsCalendar | None,
) -> Signals | None:
    """Ask the models about the bars, and note what the gates ask; None when no bar is warm.

    Parameters
    ----------
    measured : MeasuredBars
    settings : Settings
        Time frame, trading hours, server clock and `news.missing`.
    model : SignalModel
    sltp : SltpModel or None
        Needed when `ml_sltp.enabled`.
    news : NewsCalendar or None
        For the news gate; see `market_context`.
    """
    warm = measured.warm_rows()
    if len(warm) == 0:
        return None
    features = measured.features[warm]
    context = market_context(
        measured.opens[warm], measured.atr[warm], measured.ema_distance[warm], measured.adx[warm], settings, news
    )
    return Signals(measured.number[warm], features, model.predict_proba(features), context).with_distances(sltp)


def signal_candidates(signals: Signals, settings: Settings, ml_settings: MlSettings) -> npt.NDArray[Any]:
    """Return a Candidate record for every row whose likeliest class is a side, with its bracket in ATR multiples.

    Raises
    ------
    UsageError
        The SLTP model is on and `signals` has no distances.
    """
    multiples = bracket_multiples(signals.distances, settings, ml_settings)
    return find_candidates(signals.probabilities, signals.rows, signals.context, *multiples)
