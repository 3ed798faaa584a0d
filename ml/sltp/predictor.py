"""Stop and target distances of the SLTP models of a model set: every file is checked before it is decoded."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.arrays import Float64Array
from ml.sets.compat import Manifest, read_artifact, read_metadata
from ml.sets.loading import load_undisturbed
from ml.sets.stage_files import SLTP_METADATA, SLTP_STOP, SLTP_TARGET, STAGE_COMMANDS, mend_of
from ml.trees.regressor import Regression, served_regression
from novosky.errors import DataError, ModelError
from novosky.settings.ml import MlSettings

_LOG = logging.getLogger(__name__)

SideArray = npt.NDArray[np.int8]

SIDE_INPUT = "side"
"""What the models are told after the features: 1 for a long, -1 for a short."""
DISTANCE_FLOOR = 0.01
"""ATR. A quantile regression may answer 0 or less where entries hardly moved; a level needs a distance."""
# Rows per call of LightGBM: bounds memory at any history length.
_CHUNK_ROWS = 8192


def hash_sltp_settings(ml_settings: MlSettings) -> str:
    """Return the hexadecimal SHA-256 of the settings that shape the SLTP models.

    Those of the models themselves, of the entries they learn from and of the excursions.
    """
    content = [
        ml_settings.ml_sltp.model_dump(mode="json", exclude={"enabled"}),
        ml_settings.position_model.model_dump(mode="json", include={"entry_confidence", "entry_min_gap"}),
        ml_settings.labeling.model_dump(mode="json", include={"horizon_bars", "spread"}),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def predict_distances(stop: Regression, target: Regression, features: Float64Array, side: SideArray) -> Float64Array:
    """Ask two regressions for the distances of entries.

    Parameters
    ----------
    stop, target : Regression
    features : ndarray of float64, shape (n, k)
        Finite.
    side : ndarray of int8, shape (n,)

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Stop and target in ATR, at least `DISTANCE_FLOOR`.
    """
    answer = np.empty((len(features), 2))
    for begin in range(0, len(features), _CHUNK_ROWS):
        chunk = features[begin : begin + _CHUNK_ROWS]
        rows = np.empty((len(chunk), features.shape[1] + 1))
        rows[:, :-1] = chunk
        rows[:, -1] = side[begin : begin + len(chunk)]
        answer[begin : begin + len(chunk), 0] = stop(rows)
        answer[begin : begin + len(chunk), 1] = target(rows)
    return np.maximum(answer, DISTANCE_FLOOR)


@dataclass(frozen=True, eq=False)
class _LoadedModels:
    manifest: Manifest
    stop: Regression
    target: Regression
    trained_with: str


class SltpPredictor:
    """The SLTP models of a model directory.

    Parameters
    ----------
    models_dir : Path
    ml_settings : MlSettings

    Attributes
    ----------
    sources : dict of str to str
        The files of `stop` and `target`.

    Raises
    ------
    ModelError
        No set, or no SLTP models in it, or a file of theirs that is not the one the manifest vouches for.
    ModelCompatibilityError
        The set was made for other features or libraries.
    """

    def __init__(self, models_dir: Path, ml_settings: MlSettings) -> None:
        loaded = load_undisturbed(models_dir, ml_settings, lambda manifest, _: _load(models_dir, manifest))
        self._manifest = loaded.manifest
        self._features = loaded.manifest.features
        self._stop, self._target = loaded.stop, loaded.target
        self.sources: dict[str, str] = {"stop": SLTP_STOP, "target": SLTP_TARGET}
        _LOG.info("sltp models from %s: stop=%s, target=%s", models_dir, SLTP_STOP, SLTP_TARGET)
        if loaded.trained_with != hash_sltp_settings(ml_settings):
            _LOG.warning(
                "ml_config.json has other ml_sltp settings, or others of its entries and labels, than the models in "
                "%s were trained with; retrain with `%s` for them to take effect",
                models_dir,
                STAGE_COMMANDS["sltp"],
            )

    @property
    def train_cutoff(self) -> pd.Timestamp:
        """UTC open of the last bar whose information entered the set; later bars are out of sample."""
        return self._manifest.train_cutoff

    @property
    def fingerprint(self) -> str:
        """SHA-256 that names these predictions: of the hashes of both model files."""
        hashes = [self._manifest.artifacts[name] for name in self.sources.values()]
        return hashlib.sha256("\n".join(hashes).encode("utf-8")).hexdigest()

    def distances(self, features: Float64Array, side: SideArray) -> Float64Array:
        """Return stop and target of entries in ATR of their bar, not yet clamped to a profile's range.

        A row's answer does not depend on the rows beside it: one row alone gives the same bytes.

        Parameters
        ----------
        features : ndarray, shape (n, k)
            In the order of ml_config.json.
        side : ndarray of int8, shape (n,)
            1 long, -1 short.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            Stop and target distance from the quote at the decision, finite and above 0.

        Raises
        ------
        DataError
            Another width or length, a value that is NaN or infinite (leave the warm-up rows
            out), or a side that is none.
        """
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self._features) or np.shape(side) != (len(rows),):
            raise DataError(
                f"the sltp models need features of shape (n, {len(self._features)}) and n sides, "
                f"not {rows.shape} and {np.shape(side)}"
            )
        self._check_values(rows, side)
        return predict_distances(self._stop, self._target, rows, side)

    def _check_values(self, rows: Float64Array, side: SideArray) -> None:
        finite = np.isfinite(rows)
        if not finite.all():
            row, column = (int(place) for place in np.argwhere(~finite)[0])
            raise DataError(
                f"feature {self._features[column]} of row {row} is {rows[row, column]}; "
                "leave rows before the end of the warm-up out"
            )
        strange = np.flatnonzero(np.abs(side) != 1)
        if len(strange):
            raise DataError(f"the side of row {strange[0]} is {side[strange[0]]}; it must be 1 (long) or -1 (short)")


def _load(models_dir: Path, manifest: Manifest) -> _LoadedModels:
    mend = mend_of("sltp")
    inputs = (*manifest.features, SIDE_INPUT)
    stop, target = (
        _regression(read_artifact(models_dir, manifest, name, mend), name, inputs) for name in (SLTP_STOP, SLTP_TARGET)
    )
    metadata = read_metadata(models_dir, manifest, SLTP_METADATA, ("config_hash",), mend)
    return _LoadedModels(manifest, stop, target, metadata["config_hash"])


def _regression(content: bytes, name: str, inputs: Sequence[str]) -> Regression:
    """Decode a LightGBM text model whose hash has been checked."""
    import lightgbm

    try:
        text = content.decode("utf-8")
        booster = lightgbm.Booster(model_str=text)
    except (UnicodeDecodeError, lightgbm.basic.LightGBMError) as error:
        raise ModelError(f"{name} is not a LightGBM model ({error}); {mend_of('sltp')}") from error
    if booster.feature_name() != list(inputs):
        raise ModelError(
            f"{name} was trained on other inputs than the features of its set and `{SIDE_INPUT}`; {mend_of('sltp')}"
        )
    return served_regression(booster, text, len(inputs), name)
