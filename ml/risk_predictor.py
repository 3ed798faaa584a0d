"""The size multiplier from the risk model of a model set: every file is checked before it is decoded."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ml.arrays import Float64Array
from ml.ensemble.predictor import unpickle
from ml.sets.compat import MANIFEST_NAME, Manifest, read_artifact, read_manifest, read_metadata
from ml.sets.loading import load_undisturbed
from ml.sets.stage_files import RISK_METADATA, RISK_MODEL, RISK_SCALER, STAGE_COMMANDS, STAGE_FILES, mend_of
from ml.trees.regressor import BoosterRegression, Regression, served_regression
from novosky.errors import DataError, ModelCompatibilityError, ModelError
from novosky.settings.equity_state import EQUITY_STATE, LEAST_MULTIPLIER, MOST_MULTIPLIER
from novosky.settings.ml import MlSettings

_LOG = logging.getLogger(__name__)

RISK_FEATURES = EQUITY_STATE
"""The model's inputs, in order."""


def hash_risk_settings(ml_settings: MlSettings) -> str:
    """Return the hexadecimal SHA-256 of the settings that shape the risk model."""
    content = ml_settings.risk_model.model_dump(mode="json")
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


@dataclass(frozen=True, eq=False)
class RiskRegressor:
    """A fitted risk model.

    Attributes
    ----------
    mean, scale : ndarray, shape (7,)
        Of the inputs.
    answers : Regression
        For standardised inputs.
    text : str
        The same as a LightGBM text model.
    """

    mean: Float64Array
    scale: Float64Array
    answers: Regression
    text: str

    @classmethod
    def of(cls, mean: Float64Array, scale: Float64Array, booster: Any) -> Self:
        """Return a regressor that asks a LightGBM booster itself."""
        return cls(mean, scale, BoosterRegression(booster), booster.model_to_string())

    def multipliers(self, states: Float64Array) -> Float64Array:
        """Return the multiplier for each state, shape (n,), for states of shape (n, 7).

        A row's answer does not depend on the rows beside it.
        """
        answers = self.answers((states - self.mean) / self.scale)
        return np.minimum(np.maximum(answers, LEAST_MULTIPLIER), MOST_MULTIPLIER)


@dataclass(frozen=True, eq=False)
class _LoadedModel:
    manifest: Manifest
    regressor: RiskRegressor
    trained_with: str


class RiskPredictor:
    """The risk model of a model directory.

    Parameters
    ----------
    models_dir : Path
    ml_settings : MlSettings

    Attributes
    ----------
    sources : dict of str to str
        The files of `model` and `scaler`.

    Raises
    ------
    ModelError
        No set, or no risk model in it, or a file of its that is not the one the manifest vouches for.
    ModelCompatibilityError
        The set was made for other features or libraries, or the risk model for another account state.
    """

    def __init__(self, models_dir: Path, ml_settings: MlSettings) -> None:
        loaded = load_undisturbed(models_dir, ml_settings, lambda manifest, _: _load(models_dir, manifest))
        self._manifest, self._regressor = loaded.manifest, loaded.regressor
        self.sources: dict[str, str] = {"model": RISK_MODEL, "scaler": RISK_SCALER}
        _LOG.info("risk model from %s: model=%s, scaler=%s", models_dir, RISK_MODEL, RISK_SCALER)
        if loaded.trained_with != hash_risk_settings(ml_settings):
            _LOG.warning(
                "ml_config.json has other risk_model settings than the model in %s was trained with; "
                "retrain with `%s` for them to take effect",
                models_dir,
                STAGE_COMMANDS["risk"],
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256 that names these answers: of the hashes of both files."""
        hashes = [self._manifest.artifacts[name] for name in self.sources.values()]
        return hashlib.sha256("\n".join(hashes).encode("utf-8")).hexdigest()

    @property
    def regressor(self) -> RiskRegressor:
        """The fitted model itself."""
        return self._regressor

    def multiplier(self, state: tuple[float, ...]) -> float:
        """Return the size multiplier for one account state of 7 numbers in the order of `RISK_FEATURES`.

        Raises
        ------
        DataError
            Another count, or a number that is NaN or infinite.
        """
        return float(self.multipliers(np.array([state], dtype=np.float64))[0])

    def multipliers(self, states: Float64Array) -> Float64Array:
        """Return the size multiplier for each account state, within [LEAST_MULTIPLIER, MOST_MULTIPLIER].

        One state alone gives the same bytes as among others.

        Parameters
        ----------
        states : ndarray, shape (n, 7)
            In the order of `RISK_FEATURES`.

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        DataError
            Another width, or a value that is NaN or infinite.
        """
        rows = np.asarray(states, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(RISK_FEATURES):
            raise DataError(f"the risk model needs states of shape (n, {len(RISK_FEATURES)}), not {rows.shape}")
        broken = np.argwhere(~np.isfinite(rows))
        if len(broken):
            row, column = broken[0]
            raise DataError(f"{RISK_FEATURES[column]} of account state {row} is {rows[row, column]}, not a number")
        return self._regressor.multipliers(rows)


def load_risk_model(models_dir: Path, ml_settings: MlSettings, enabled: bool) -> RiskPredictor | None:
    """Return the risk model of a set, or None where every trade keeps its size; the log says why, once.

    Parameters
    ----------
    models_dir : Path
    ml_settings : MlSettings
    enabled : bool
        `risk_model.enabled` of config.json.

    Returns
    -------
    RiskPredictor or None
        None when switched off, or when the set neither holds nor names any file of the model.

    Raises
    ------
    ModelError
        No set; or one whose risk model is there in part, damaged or foreign.
    ModelCompatibilityError
        The set was made for other features or libraries, or the risk model for another account state.
    """
    if not enabled:
        _LOG.info("risk model: switched off in config.json, every trade keeps its size (multiplier 1.0)")
        return None
    try:
        return RiskPredictor(models_dir, ml_settings)
    except ModelCompatibilityError:
        raise
    except ModelError:
        # Asked only now: a run that swaps the set in between must not turn a model into none.
        if _named_or_there(models_dir):
            raise
    _LOG.warning("risk model: none in %s, every trade keeps its size (multiplier 1.0); %s", models_dir, mend_of("risk"))
    return None


def _named_or_there(models_dir: Path) -> bool:
    manifest = read_manifest(models_dir)
    return any(name in manifest.artifacts or (models_dir / name).exists() for name in STAGE_FILES["risk"])


def _load(models_dir: Path, manifest: Manifest) -> _LoadedModel:
    content = {name: read_artifact(models_dir, manifest, name, mend_of("risk")) for name in (RISK_MODEL, RISK_SCALER)}
    metadata = read_metadata(models_dir, manifest, RISK_METADATA, ("config_hash",), mend_of("risk"))
    _check_inputs(metadata)
    mean, scale = _scaling(content[RISK_SCALER])
    booster, text = _booster(content[RISK_MODEL])
    regressor = RiskRegressor(mean, scale, served_regression(booster, text, len(RISK_FEATURES), RISK_MODEL), text)
    return _LoadedModel(manifest, regressor, str(metadata["config_hash"]))


def _check_inputs(metadata: Mapping[str, Any]) -> None:
    """Check what the model is told; raises `ModelCompatibilityError`."""
    trained = metadata.get("features")
    if trained != list(RISK_FEATURES):
        raise ModelCompatibilityError(
            f"{RISK_METADATA}: the risk model was trained on {_listed(trained)}, but the account state is "
            f"{', '.join(RISK_FEATURES)}; {mend_of('risk')}"
        )


def _listed(names: Any) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list) else "inputs it does not name"


def _scaling(content: bytes) -> tuple[Float64Array, Float64Array]:
    """Decode the scaler, whose hash has been checked."""
    scaler = unpickle(content, RISK_SCALER)
    found = [getattr(getattr(scaler, name, None), "shape", None) for name in ("mean_", "scale_")]
    whole = found == [(len(RISK_FEATURES),)] * 2
    # Divided by zero a finite state is none, and no model shall be asked about that.
    if not whole or not (np.isfinite([scaler.mean_, scaler.scale_]).all() and scaler.scale_.all()):
        raise ModelError(f"{RISK_SCALER} does not hold the scaling of {len(RISK_FEATURES)} inputs; {mend_of('risk')}")
    return scaler.mean_, scaler.scale_


def _booster(content: bytes) -> tuple[Any, str]:
    """Decode the LightGBM text model, whose hash has been checked; return the booster and the text."""
    import lightgbm

    try:
        text = content.decode("utf-8")
        booster = lightgbm.Booster(model_str=text)
    except (UnicodeDecodeError, lightgbm.basic.LightGBMError) as error:
        raise ModelError(f"{RISK_MODEL} is not a LightGBM model ({error}); {mend_of('risk')}") from error
    if booster.feature_name() != list(RISK_FEATURES):
        raise ModelCompatibilityError(
            f"{RISK_MODEL} in a set with this {MANIFEST_NAME} was trained on {', '.join(booster.feature_name())}, but "
            f"the account state is {', '.join(RISK_FEATURES)}; {mend_of('risk')}"
        )
    return booster, text
