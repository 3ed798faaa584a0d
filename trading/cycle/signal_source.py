"""From the newest closed bars to a candidate: measured at each close, composed as a history is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.inputs.models import SignalModel, SltpModel
from engine.inputs.signals import MeasuredBars, ask_signals, signal_candidates
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
        self._bars_needed = live_window_bars(settings.frame)

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
        # Past releases say nothing of those to come; features are given what is known either way.
        blind = self._news is not None and self._settings.news.missing == "block" and not self._news.state(close).known
        measured = MeasuredBars(
            number=np.array([close], dtype=np.int64),
            opens=np.array([newest.time], dtype=np.int64),
            features=newest.features[self._columns][None, :],
            atr=np.array([newest.atr]),
            ema_distance=np.array([newest.ema200_distance]),
            adx=np.array([newest.adx]),
        )
        signals = ask_signals(measured, self._settings, self._model, self._sltp, None if blind else calendar)
        if signals is None:
            return None, None
        found = signal_candidates(signals, self._settings, self._ml_settings)
        return (found[0] if len(found) else None), newest.atr


def feature_columns(ml_settings: MlSettings) -> npt.NDArray[np.int64]:
    """Return where each configured feature stands in the feature row."""
    from ml.feature_engineering import get_feature_names

    known = {name: index for index, name in enumerate(get_feature_names())}
    return np.array([known[name] for name in ml_settings.features], dtype=np.int64)
