"""Markets, entries and a small trained set for the tests of the SLTP rooms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml.feature_engineering import warm_up_bars
from ml.labels.out_of_fold import OutOfFold
from ml.train import train
from novosky.data.synthetic import synthetic_bars
from novosky.market.bars import epoch_seconds
from novosky.market.timeframe import USUAL
from novosky.settings.ml import MlSettings
from tests.helpers.sets.position_sets import PositionSet, position_ml_settings
from tests.helpers.sets.signal_sets import TRAIN_BARS, runtime_settings

SMALL_SLTP: dict[str, Any] = {
    "enabled": True,
    "lgb": {"n_estimators": 30, "num_leaves": 6, "learning_rate": 0.1, "min_child_samples": 30},
    "folds": 3,
}
LOUD_HOURS = 6
"""Quiet and loud hours take turns."""


def sltp_ml_settings(horizon_bars: int = 96, position: dict[str, Any] | None = None, **sltp: Any) -> MlSettings:
    """Settings with few, shallow trees and every model switched on."""
    content = position_ml_settings(**(position or {})).model_dump(mode="json", exclude={"schema_reference"})
    return MlSettings.model_validate(
        content | {"ml_sltp": {**SMALL_SLTP, **sltp}, "labeling": {"horizon_bars": horizon_bars}}
    )


def train_sltp_set(root: Path, models_dir: Path) -> PositionSet:
    """Train signal, position and SLTP models on the first bars of a planted market."""
    market = synthetic_bars("planted", TRAIN_BARS, seed=3)
    ml_settings, settings = sltp_ml_settings(), runtime_settings(root)
    report = train(market, ml_settings, settings, models_dir, ("sltp", "position", "signal"))
    return PositionSet(models_dir, ml_settings, settings, market, report)


def loud_and_quiet_bars(bars: int, seed: int) -> pd.DataFrame:
    """Return a driftless market that is five times as loud in every second quarter of the day.

    The ATR lags behind: in ATR, entries at the start of loud hours go much further than those
    at their end, and the hour tells which is which.
    """
    generator = np.random.default_rng(seed)
    time = pd.date_range("2023-01-02", periods=bars, freq="15min", tz="UTC")
    loud = time.hour // LOUD_HOURS % 2 == 1
    sigma = np.where(loud, 100.0, 20.0)
    close = 40_000.0 + np.cumsum(generator.standard_normal(bars) * sigma)
    opens = np.append(40_000.0, close[:-1])
    above, below = np.abs(generator.standard_normal((2, bars))) * sigma * 0.4
    return pd.DataFrame(
        {
            "time": time,
            "open": opens,
            "high": np.maximum(opens, close) + above,
            "low": np.minimum(opens, close) - below,
            "close": close,
            "volume": 100.0 + generator.random(bars),
        }
    )


def sure_of_every_second_bar(bars: pd.DataFrame, seed: int) -> OutOfFold:
    """Return what a signal model would say that picks every second warm bar, its sides by chance."""
    generator = np.random.default_rng(seed)
    rows = np.arange(warm_up_bars(USUAL), len(bars))
    sides = np.where(generator.random(len(rows)) < 0.5, 1, 2)
    sides[::2] = 0
    mean = np.full((len(rows), 3), 0.1)
    mean[np.arange(len(rows)), sides] = 0.8
    return OutOfFold(epoch_seconds(bars)[rows], np.repeat(mean[:, None, :], 3, axis=1))
