"""A simple reference model that the signal ensemble has to beat: two plain regressions.

One LightGBM regressor learns what a long would have earned in R, another what a short would
have; a side is entered when its prediction lies above a high quantile of what that
regressor predicted for its own training rows. No calibration, no ensemble, no tuning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.arrays import MEMBERS, N_CLASSES
from ml.feature_engineering import add_all_features
from ml.labels.barrier import label_bars
from novosky.errors import DataError
from novosky.market.instrument import TradingCalendar
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import Timeframe
from novosky.settings import MlSettings

Floats = npt.NDArray[np.float64]

QUANTILE = 0.95
"""Default share of training rows whose prediction is not good enough to trade."""

_LEAST_ROWS = 500
_TREES: dict[str, Any] = {
    "n_estimators": 200,
    "learning_rate": 0.03,
    "num_leaves": 15,
    "min_child_samples": 200,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.5,
    "reg_lambda": 1.0,
    # One thread: histogram sums would otherwise depend on how many there are.
    "n_jobs": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True, eq=False)
class Yardstick:
    """A fitted pair of regressors that answers like a signal model.

    Attributes
    ----------
    long, short : lightgbm.Booster
        Predict the R of a long and of a short.
    long_least, short_least : float
        Predictions that must be exceeded.
    train_cutoff : pandas.Timestamp
        UTC open of the last bar any training label looked at.
    rows : int
        Training rows.
    """

    long: Any
    short: Any
    long_least: float
    short_least: float
    train_cutoff: pd.Timestamp
    rows: int

    def sides(self, features: Floats) -> npt.NDArray[np.int8]:
        """Return 1 (long), -1 (short) or 0 for each row of features, shape (n,).

        Where both sides pass their threshold the larger prediction decides.
        """
        longs, shorts = (np.asarray(model.predict(features, num_threads=1)) for model in (self.long, self.short))
        buys = (longs > self.long_least) & ((shorts <= self.short_least) | (longs >= shorts))
        sells = (shorts > self.short_least) & ~buys
        return buys.astype(np.int8) - sells.astype(np.int8)

    def predict_proba(self, features: Floats) -> Floats:
        """Return the sides as certainties of HOLD, BUY, SELL by equal members, shape (n, 3, 3).

        Certainties pass the gates that ask for confidence, gap and votes: the regressors
        name no probability, and their quantile has already chosen. All other gates apply.
        """
        # As many equal votes as the ensemble casts, so that the vote gate reads them alike.
        answer = np.zeros((len(features), len(MEMBERS), N_CLASSES))
        # Class 1 is BUY and class 2 SELL, so that -1 counts from the end.
        answer[np.arange(len(features)), :, self.sides(features)] = 1.0
        return answer


def fit_yardstick(
    bars: pd.DataFrame,
    ml_settings: MlSettings,
    *,
    frame: Timeframe,
    seed: int,
    quantile: float = QUANTILE,
    news: NewsCalendar | None = None,
    calendar: TradingCalendar | None = None,
) -> Yardstick:
    """Fit both regressors on the labelled rows of a window.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame of the training window, warm-up included; its end is the newest bar that
        a label may look at.
    ml_settings : MlSettings
        Features and labels, the same as the ensemble's.
    frame : Timeframe
        Of the bars.
    seed : int
        Same bars, same seed: same predictions.
    quantile : float
        Share of training predictions below the threshold, in (0, 1).
    news : NewsCalendar, optional
    calendar : TradingCalendar, optional
        When the market deals.

    Raises
    ------
    DataError
        Too few labelled rows.
    """
    from lightgbm import LGBMRegressor

    featured = add_all_features(bars, news, frame)
    labels = label_bars(bars, featured["atr"].to_numpy(dtype=np.float64), ml_settings.labeling, frame, calendar)
    features = featured[list(ml_settings.features)].to_numpy(dtype=np.float64)
    rows = np.flatnonzero(labels.valid & np.isfinite(features).all(axis=1))
    if len(rows) < _LEAST_ROWS:
        raise DataError(f"the yardstick needs {_LEAST_ROWS} labelled rows, found {len(rows)}: train on more bars")
    models = [
        LGBMRegressor(**_TREES, random_state=seed).fit(features[rows], outcome[rows]).booster_
        for outcome in (labels.long_r, labels.short_r)
    ]
    least = [float(np.quantile(model.predict(features[rows], num_threads=1), quantile)) for model in models]
    cutoff = bars["time"].iloc[int(labels.end_index[rows].max())]
    return Yardstick(models[0], models[1], least[0], least[1], cutoff, len(rows))
