"""What the position model says of the open position at the newest close: the live half of the backtest's answers."""

from __future__ import annotations

import numpy as np

from engine.candidates import mean_of_members
from engine.inputs.models import PositionModel
from ml.feature_engineering import latest_bar, live_window_bars
from novosky.market.bar_arrays import BarArrays
from novosky.settings import MlSettings
from trading.cycle.news import NewsSource
from trading.cycle.signal_source import feature_columns


class PositionSource:
    """Asks the position model about the open position at the newest closed bar.

    Parameters
    ----------
    model : PositionModel
    ml_settings : MlSettings
    news : NewsSource or None
        Asked at every close; what it knows then goes into the news features.
    """

    def __init__(self, model: PositionModel, ml_settings: MlSettings, news: NewsSource | None) -> None:
        self._model, self._news = model, news
        self._columns = feature_columns(ml_settings)

    def opinion(self, bars: BarArrays, inputs: tuple[float, float, float, float]) -> tuple[float, float, float] | None:
        """Return the probabilities of HOLD, EXIT and ADD, or None while features are not warm.

        Parameters
        ----------
        bars : BarArrays
            The newest closed bars.
        inputs : tuple of float
            `engine.exits.position_inputs` at the close of the last one.
        """
        if len(bars) < live_window_bars(bars.frame):
            return None
        close = bars.newest_close
        calendar = None if self._news is None else self._news.calendar(close)
        row = latest_bar(bars, calendar).features[self._columns]
        if not np.isfinite(row).all():
            return None
        answer = self._model.predict_proba(np.concatenate((row, inputs))[None, :])
        hold, leave, add = mean_of_members(answer)[0].tolist()
        return hold, leave, add
