"""Probabilities of the position ensemble of a model set: HOLD, EXIT, ADD for an open trade."""

from __future__ import annotations

import logging
from pathlib import Path

from ml.ensemble.predictor import ServedEnsemble
from ml.sets.compat import hash_position_settings
from ml.sets.ensemble_files import POSITION_FILES
from novosky.settings.ml import MlSettings

_LOG = logging.getLogger(__name__)


class PositionPredictor(ServedEnsemble):
    """The position ensemble of a model directory; rows are the features, then `POSITION_INPUTS`.

    Parameters
    ----------
    models_dir : Path
    ml_settings : MlSettings

    Raises
    ------
    ModelError
        No position models in the set, or a member none of whose files can be used.
    ModelCompatibilityError
        The set was made for other features or libraries.
    """

    def __init__(self, models_dir: Path, ml_settings: MlSettings) -> None:
        super().__init__(models_dir, ml_settings, POSITION_FILES)
        if self._metadata is not None and self._metadata.get("config_hash") != hash_position_settings(ml_settings):
            _LOG.warning(
                "ml_config.json has other position_model settings than the models in %s were trained with; "
                "retrain with `%s` for them to take effect",
                models_dir,
                POSITION_FILES.command,
            )
