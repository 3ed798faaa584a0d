"""A small, quick signal model set on the embedded market, for the tests of the model rooms."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.feature_engineering import add_all_features, get_feature_names
from ml.train import TrainingReport, train
from novosky.data.synthetic import synthetic_bars
from novosky.settings.ml import MlSettings
from novosky.settings.runtime import Settings

TRAIN_BARS = 6_000
LATER_BARS = 6_000
SMALL_MODELS: dict[str, Any] = {
    "rf": {"n_estimators": 16, "max_depth": 5, "min_samples_leaf": 40, "max_features": 0.3, "max_samples": 0.5},
    "xgb": {"n_estimators": 24, "max_depth": 3, "learning_rate": 0.1, "min_child_weight": 20},
    "lgb": {"n_estimators": 24, "num_leaves": 7, "learning_rate": 0.1, "min_child_samples": 40},
    "calibration_folds": 2,
}


def small_ml_settings(**training: Any) -> MlSettings:
    """Settings with few, shallow trees and all features."""
    return MlSettings.model_validate(
        {
            "features": get_feature_names(),
            "signal_model": SMALL_MODELS,
            "training": {"device": "cpu", "threads": 2, **training},
        }
    )


def runtime_settings(root: Path) -> Settings:
    """The checkout's own config.json."""
    return Settings.model_validate(json.loads((root / "config.json").read_text(encoding="utf-8")))


@dataclass(frozen=True, eq=False)
class SmallSet:
    """A trained set with the market it was trained on and the bars that came later."""

    models_dir: Path
    ml_settings: MlSettings
    settings: Settings
    bars: pd.DataFrame
    later_bars: pd.DataFrame
    later_features: npt.NDArray[np.float64]
    later_rows: npt.NDArray[np.int64]
    report: TrainingReport


def train_small_set(root: Path, models_dir: Path, kind: Any = "planted") -> SmallSet:
    """Train on the first bars of a market; rows of the later bars are finite features never trained on."""
    market = synthetic_bars(kind, TRAIN_BARS + LATER_BARS, seed=3)
    bars = market.iloc[:TRAIN_BARS].reset_index(drop=True)
    bars.attrs.update(market.attrs)
    ml_settings, settings = small_ml_settings(), runtime_settings(root)
    report = train(bars, ml_settings, settings, models_dir, ("signal",))
    features = add_all_features(market)[list(ml_settings.features)].to_numpy()
    rows = np.arange(TRAIN_BARS, len(market))
    return SmallSet(models_dir, ml_settings, settings, bars, market, features[rows], rows, report)
