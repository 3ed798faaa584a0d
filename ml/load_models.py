"""The models a configuration asks for, read from a model directory: in this process, or apart from it.

A fitted model can only be decoded and compared with its flat trees by the libraries that made
it. Once it answers from its trees they are of no use to a bot that runs for weeks, but what has
been imported stays in memory (110 MiB). So a bot lets a process of its own do the loading
and takes over what is left: arrays.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from engine.inputs.models import Models
from engine.inputs.selectivity import Selectivity
from ml.ensemble.predictor import EnsemblePredictor
from ml.labels.out_of_fold import OutOfFold
from ml.position.predictor import PositionPredictor
from ml.risk_predictor import load_risk_model
from ml.sets.compat import MEND
from ml.sets.deployment import Deployment, read_undisturbed
from ml.sets.loading import OpenedSet, load_undisturbed
from ml.sets.model_market import require_models_of
from ml.sets.stage_files import OUT_OF_FOLD_NAME
from ml.sltp.predictor import SltpPredictor
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings

_LOG = logging.getLogger(__name__)
_PROGRAM = "from ml.load_models import answer_apart; answer_apart()"
_PATIENCE_SECONDS = 120.0
"""Loading takes some seconds; a process that takes this long is stuck, and loading here is still right."""


def load_deployment(
    deployment: Deployment, adapt: Callable[[Settings], Settings] | None = None, *, apart: bool = False
) -> tuple[Settings, MlSettings, Models]:
    """Load settings and models that belong together, also while a pull is replacing them.

    A share of bars that the settings state has become these models' threshold (`Models.decided`).

    Parameters
    ----------
    deployment : Deployment
    adapt : callable, optional
        Changes the settings for this run before the models are chosen by them.
    apart : bool
        Load as `load_models_apart` does: for a process that runs on for long.

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
        load_them = load_models_apart if apart else load_models
        models = load_them(deployment.models, settings, ml_settings)
        return settings, models.decided(ml_settings), models

    return read_undisturbed(deployment, load)


def load_models(models_dir: Path, settings: Settings, ml_settings: MlSettings, *, selectivity: bool = False) -> Models:
    """Load the signal models and those of the others that are switched on, all from one set.

    Starts over when a training run swaps the set in between: models that learned from other
    signal models must not answer beside these.

    Parameters
    ----------
    models_dir : Path
    settings : Settings
    ml_settings : MlSettings
    selectivity : bool
        Read how sure the signal models were out of fold, also where no share of bars is stated.

    Raises
    ------
    ModelError
        A model that is switched on is missing, damaged or foreign. A missing risk model is
        neutral instead, and said in the log.
    ModelCompatibilityError
        The set was made for other features or libraries, or for another market than the configured one.
    """
    share = ml_settings.prediction.confidence_share
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
            selectivity=_selectivity(opened) if selectivity or share is not None else None,
        ),
    )


def load_selectivity(models_dir: Path, ml_settings: MlSettings) -> Selectivity:
    """Read how sure a set's signal models were of bars they had not learned from; raises as `load_models`."""
    return load_undisturbed(models_dir, ml_settings, _selectivity)


def _selectivity(opened: OpenedSet) -> Selectivity:
    return Selectivity.of(OutOfFold.from_bytes(opened.read(OUT_OF_FOLD_NAME, MEND)).probabilities)


def load_models_apart(models_dir: Path, settings: Settings, ml_settings: MlSettings) -> Models:
    """Load as `load_models` does, in a process of its own that ends; this one takes over the result.

    Where that does not work (a member that only its library can answer for may not travel) the
    models are loaded here. So are those that cannot be loaded at all: the error is then raised here.

    Raises
    ------
    ModelError, ModelCompatibilityError
        As in `load_models`.
    """
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    try:
        ended = subprocess.run(
            # -P: no package of the working directory may stand in for one of ours.
            [sys.executable, "-P", "-c", _PROGRAM],
            input=pickle.dumps((models_dir, settings, ml_settings)),
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _LOG.warning("the models could not be loaded in a process of its own (%s); loading them here", error)
        return load_models(models_dir, settings, ml_settings)
    if ended.returncode != 0 or not ended.stdout:
        return load_models(models_dir, settings, ml_settings)
    models: Models
    records: list[logging.LogRecord]
    # Our own program wrote these bytes, from files whose hashes it had checked.
    models, records = pickle.loads(ended.stdout)
    for record in records:
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    return models


def answer_apart() -> None:
    """Load what standard input asks for and write it to standard output; nothing where that fails."""
    # Whatever a library prints must not stand between the bytes of the answer.
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)
        kept = _KeptRecords()
        logging.basicConfig(level=logging.INFO, handlers=[kept])
        try:
            content = pickle.dumps((load_models(*pickle.load(sys.stdin.buffer)), kept.records))
        except Exception:
            # Whoever asked meets the same fault where it can be told to the user.
            return
        answer.write(content)


class _KeptRecords(logging.Handler):
    """Keeps what was logged, worded, for the process that asked."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        self.records.append(record)
