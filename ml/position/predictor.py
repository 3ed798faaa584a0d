"""Probabilities of the position ensemble of a model set: HOLD, EXIT, ADD for an open trade."""

from __future__ import annotations

import logging

from ml.ensemble.predictor import ServedEnsemble
from ml.sets.compat import hash_position_settings
from ml.sets.ensemble_files import POSITION_FILES
from ml.sets.loading import OpenedSet

_LOG = logging.getLogger(__name__)


class PositionPredictor(ServedEnsemble):
    """The position ensemble of a model set; rows are the features, then `POSITION_INPUTS`.

    Parameters
    ----------
    opened : OpenedSet

    Raises
    ------
    ModelError
        No position models in the set, or a member none of whose files can be used.
    """

    def __init__(self, opened: OpenedSet) -> None:
        super().__init__(opened, POSITION_FILES)
        trained_with = None if self._metadata is None else self._metadata.get("config_hash")
        if self._metadata is not None and trained_with != hash_position_settings(opened.ml_settings):
            _LOG.warning(
                "ml_config.json has other position_model settings than the models in %s were trained with; "
                "retrain with `%s` for them to take effect",
                opened.models_dir,
                POSITION_FILES.command,
            )
