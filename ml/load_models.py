"""The models a configuration asks for, read from a model directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.inputs.models import Models
from ml.ensemble.predictor import EnsemblePredictor
from ml.position.predictor import PositionPredictor
from ml.risk_predictor import load_risk_model
from ml.sets.deployment import Deployment, read_undisturbed
from ml.sets.loading import load_undisturbed
from ml.sets.model_market import require_models_of
from ml.sltp.predictor import SltpPredictor
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings


def load_deployment(
    deployment: Deployment, adapt: Callable[[Settings], Settings] | None = None
) -> tuple[Settings, MlSettings, Models]:
    """Load settings and models that belong together, also while a pull is replacing them.

    Parameters
    ----------
    deployment : Deployment
    adapt : callable, optional
        Changes the settings for this run before the models are chosen by them.

    Raises
    ------
    SettingsError
        One of the files is wrong.
    ModelError, ModelCompatibilityError
        As in `load_models`.
    """

    def load() -> tuple[Settings, MlSettings, Models]:
        settings = load_settings(deployment.config)
        if adapt is not None:
            settings = adapt(settings)
        ml_settings = load_ml_settings(deployment.ml_config)
        return settings, ml_settings, load_models(deployment.models, settings, ml_settings)

    return read_undisturbed(deployment, load)


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
        The set was made for other features or libraries, or for another market than the configured one.
    """
    return load_undisturbed(
        models_dir,
        ml_settings,
        lambda opened: Models(
            # First: what another market's models would answer is of no interest.
            market=require_models_of(models_dir, opened.manifest, settings),
            signal=EnsemblePredictor(opened),
            position=PositionPredictor(opened) if ml_settings.position_model.enabled else None,
            sltp=SltpPredictor(opened) if ml_settings.ml_sltp.enabled else None,
            risk=load_risk_model(opened, settings.risk_model.enabled),
        ),
    )
