"""The models a configuration asks for, read from a model directory."""

from __future__ import annotations

from pathlib import Path

from ml.ensemble_predictor import EnsemblePredictor
from ml.loading import load_undisturbed
from ml.position_predictor import PositionPredictor
from ml.risk_predictor import load_risk_model
from ml.sltp_predictor import SltpPredictor
from novosky.settings import MlSettings, Settings
from trading.models import Models


def load_models(models_dir: Path, settings: Settings, ml_settings: MlSettings) -> Models:
    """Load the signal models and those of the others that are switched on, all from one set.

    Starts over when a training run swaps the set in between: models that learned from other
    signal models must not answer beside these.

    Raises
    ------
    ModelError
        A model that is switched on is missing, damaged or foreign. A missing risk model is
        neutral instead, and said in the log.
    ModelCompatibilityError
        The set was made for other features or libraries.
    """
    return load_undisturbed(
        models_dir,
        ml_settings,
        lambda *_: Models(
            signal=EnsemblePredictor(models_dir, ml_settings),
            position=PositionPredictor(models_dir, ml_settings) if ml_settings.position_model.enabled else None,
            sltp=SltpPredictor(models_dir, ml_settings) if ml_settings.ml_sltp.enabled else None,
            risk=load_risk_model(models_dir, ml_settings, settings.risk_model.enabled),
        ),
    )
