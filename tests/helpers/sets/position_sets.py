"""A small set of signal and position models on the embedded market, for the tests of the position rooms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ml.train import TrainingReport, train
from novosky.data.synthetic import synthetic_bars
from novosky.settings.ml import MlSettings
from novosky.settings.runtime import Settings
from tests.helpers.sets.signal_sets import SMALL_MODELS, TRAIN_BARS, runtime_settings, small_ml_settings

SMALL_POSITION: dict[str, Any] = {
    **SMALL_MODELS,
    "enabled": True,
    "entry_confidence": 0.36,
    "entry_min_gap": 0.0,
    "min_entries": 100,
    # Eager enough that a few small trees are followed now and then.
    "exit_threshold": 0.5,
    "min_prob_diff": 0.1,
    "min_bars_held": 2,
    "add_threshold": 0.4,
}


def position_ml_settings(**position: Any) -> MlSettings:
    """Settings with few, shallow trees and the position model switched on."""
    content = small_ml_settings().model_dump(mode="json", exclude={"schema_reference"})
    return MlSettings.model_validate(
        content
        | {
            "position_model": {**SMALL_POSITION, **position},
            "prediction": {"confidence_threshold": 0.4, "min_probability_diff": 0.02},
        }
    )


@dataclass(frozen=True, eq=False)
class PositionSet:
    """A trained set with both stages and the market it was trained on."""

    models_dir: Path
    ml_settings: MlSettings
    settings: Settings
    bars: pd.DataFrame
    report: TrainingReport


def train_position_set(root: Path, models_dir: Path) -> PositionSet:
    """Train signal and position models on the first bars of a planted market."""
    market = synthetic_bars("planted", TRAIN_BARS, seed=3)
    ml_settings, settings = position_ml_settings(), runtime_settings(root)
    report = train(market, ml_settings, settings, models_dir, ("position", "signal"))
    return PositionSet(models_dir, ml_settings, settings, market, report)
