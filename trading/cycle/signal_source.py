"""From the newest closed bars to a candidate: the live half of what `backtest.run.prepare` does for a history."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.candidates import find_candidates
from engine.inputs.brackets import bracket_multiples, side_distances
from engine.inputs.context import market_context
from engine.inputs.models import SignalModel, SltpModel
from engine.records import Candidate
from ml.feature_engineering import latest_bar, live_window_bars
from novosky.market.bar_arrays import BarArrays
from novosky.settings import MlSettings, Settings
from trading.cycle.news import NewsSource


class SignalSource:
    """Asks the signal model, and for the bracket the SLTP model, about the newest closed bar.

    Parameters
    ----------
    model : SignalModel
    sltp : SltpModel or None
        Needed when `ml_sltp.enabled`.
    settings : Settings
    ml_settings : MlSettings
    news : NewsSource or None
        Asked at every close; what it knows then goes into the news features and the news gate.
    """

    def __init__(
        self,
        model: SignalModel,
        settings: Settings,
        ml_settings: MlSettings,
        news: NewsSource | None,
        sltp: SltpModel | None = None,
    ) -> None:
        self._model, self._settings, self._ml_settings, self._news = model, settings, ml_settings, news
        self._sltp = sltp
        self._columns = feature_columns(ml_settings)
        self._bars_needed = live_window_bars()

    @property
    def bars_needed(self) -> int:
        """Closed bars the features need; fewer give no signal."""
        return self._bars_needed

    def candidate(self, bars: BarArrays) -> tuple[Candidate | None, float | None]:
        """Return the candidate at the close of the last bar, if any, and the ATR in USD.

        Parameters
        ----------
        bars : BarArrays
            The newest closed bars. With fewer than `bars_needed` both answers are None:
            the indicators are not warm yet.
        """
        if len(bars) < self.bars_needed:
            return None, None
        close = bars.newest_close
        # Asked once, so that features and gate see the same schedule.
        calendar = None if self._news is None else self._news.calendar(close)
        newest = latest_bar(bars, calendar)
        row = newest.features[self._columns]
        if not (np.isfinite(row).all() and np.isfinite([newest.atr, newest.ema200_distance, newest.adx]).all()):
            return None, None
        # Past releases say nothing of those to come; features are given what is known either way.
        blind = self._news is not None and self._settings.news.missing == "block" and not self._news.state(close).known
        context = market_context(
            np.array([newest.time]),
            np.array([newest.atr]),
            np.array([newest.ema200_distance]),
            np.array([newest.adx]),
            self._settings,
            None if blind else calendar,
        )
        probabilities = self._model.predict_proba(row[None, :])
        distances = None if self._sltp is None else side_distances(self._sltp, row[None, :], probabilities)
        found: npt.NDArray[Any] = find_candidates(
            probabilities,
            np.array([close]),
            context,
            *bracket_multiples(distances, self._settings, self._ml_settings),
        )
        return (found[0] if len(found) else None), newest.atr


def feature_columns(ml_settings: MlSettings) -> npt.NDArray[np.int64]:
    """Return where each configured feature stands in the feature row."""
    from ml.feature_engineering import get_feature_names

    known = {name: index for index, name in enumerate(get_feature_names())}
    return np.array([known[name] for name in ml_settings.features], dtype=np.int64)
