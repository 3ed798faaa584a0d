"""Probabilities from a model set on disk: every file is checked before it is decoded.

Each member is tried as calibrated pickle, then ONNX, then raw pickle with the calibrator of
the metadata. All three give the same probabilities to within 1e-4; which one answers is
logged and kept in `EnsemblePredictor.sources`.
"""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml.arrays import MEMBERS, N_CLASSES, Float32Matrix, Float64Array
from ml.ensemble.members import CalibratedMember, Calibrator, Scaling
from ml.ensemble.served import ProbabilityFunction, ServedMember, ServedMembers, served_member
from ml.sets.compat import Manifest, hash_training_settings, read_artifact, read_metadata
from ml.sets.ensemble_files import SIGNAL_FILES, EnsembleFiles, FileKind
from ml.sets.loading import load_undisturbed
from novosky.errors import DataError, ModelError
from novosky.settings.ml import MlSettings

_LOG = logging.getLogger(__name__)
# Rows per call of a library: bounds memory at any history length (8,192 rows hold 2 MB of features).
CHUNK_ROWS = 8192


@dataclass(frozen=True, eq=False)
class _Source:
    """A member's file whose hash has been checked, and what the rest of the set says about it."""

    content: bytes
    file: str
    name: str
    metadata: Mapping[str, Any] | None
    width: int


_Loader = Callable[[_Source], ServedMember]


@dataclass(frozen=True, eq=False)
class _LoadedSet:
    manifest: Manifest
    manifest_hash: str
    metadata: Mapping[str, Any] | None
    scaling: Scaling
    members: ServedMembers
    sources: dict[str, str]


class ServedEnsemble:
    """An ensemble of a model directory.

    Parameters
    ----------
    models_dir : Path
    ml_settings : MlSettings
    files : EnsembleFiles

    Attributes
    ----------
    sources : dict of str to str
        The file each of `scaler`, `rf`, `xgb`, `lgb` is served from.

    Raises
    ------
    ModelError
        No set, or a member none of whose files can be used.
    ModelCompatibilityError
        The set was made for other features or libraries.
    """

    def __init__(self, models_dir: Path, ml_settings: MlSettings, files: EnsembleFiles) -> None:
        loaded = load_undisturbed(
            models_dir, ml_settings, lambda manifest, digest: _load(models_dir, manifest, digest, files)
        )
        self._manifest = loaded.manifest
        self._features = (*loaded.manifest.features, *files.inputs)
        self._scaling = loaded.scaling
        self._members = loaded.members
        self.sources: dict[str, str] = loaded.sources
        self._fingerprint = _fingerprint(loaded, files)
        self._metadata = loaded.metadata
        sources = ", ".join(f"{k}={v}" for k, v in self.sources.items())
        _LOG.info("%s models from %s: %s", files.title, models_dir, sources)

    @property
    def train_cutoff(self) -> pd.Timestamp:
        """UTC open of the last bar whose information entered the models; later bars are out of sample."""
        return self._manifest.train_cutoff

    @property
    def fingerprint(self) -> str:
        """SHA-256 that names these predictions: of the manifest and, if not all calibrated pickles, the sources."""
        return self._fingerprint

    def predict_proba(self, features: Float64Array) -> Float64Array:
        """Return calibrated probabilities of the three classes by every member.

        A row's answer does not depend on the rows beside it: one row alone gives the same bytes.

        Parameters
        ----------
        features : ndarray, shape (n, k)
            Unscaled features in the order of ml_config.json, then the ensemble's further inputs.

        Returns
        -------
        ndarray of float64, shape (n, 3 members, 3 classes)
            Members in the order rf, xgb, lgb.

        Raises
        ------
        DataError
            Another width, or a value that is NaN or infinite (leave the warm-up rows out).
        """
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self._features):
            raise DataError(f"the models need features of shape (n, {len(self._features)}), not {rows.shape}")
        answer = np.empty((len(rows), len(MEMBERS), N_CLASSES))
        for begin in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[begin : begin + CHUNK_ROWS]
            self._check_finite(chunk, begin)
            answer[begin : begin + len(chunk)] = self._members.probabilities(self._scaling.apply(chunk))
        return answer

    def _check_finite(self, chunk: Float64Array, begin: int) -> None:
        broken = ~np.isfinite(chunk)
        if broken.any():
            row, column = (int(place) for place in np.argwhere(broken)[0])
            raise DataError(
                f"feature {self._features[column]} of row {begin + row} is {chunk[row, column]}; "
                "leave rows before the end of the warm-up out"
            )


class EnsemblePredictor(ServedEnsemble):
    """The signal ensemble of a model directory: HOLD, BUY, SELL.

    Parameters
    ----------
    models_dir : Path
    ml_settings : MlSettings

    Raises
    ------
    ModelError
        No set, or a member none of whose files can be used.
    ModelCompatibilityError
        The set was made for other features or libraries.
    """

    def __init__(self, models_dir: Path, ml_settings: MlSettings) -> None:
        super().__init__(models_dir, ml_settings, SIGNAL_FILES)
        if self._manifest.config_hash != hash_training_settings(ml_settings):
            _LOG.warning(
                "ml_config.json has other labeling or signal_model settings than the models in %s were trained with; "
                "retrain with --no-warmstart for them to take effect",
                models_dir,
            )


def _fingerprint(loaded: _LoadedSet, files: EnsembleFiles) -> str:
    served = [loaded.sources[name] for name in MEMBERS]
    if served == [files.member(name, "calibrated") for name in MEMBERS]:
        return loaded.manifest_hash
    # Another step of the chain differs in the last digits; results kept under this name must not mix.
    return hashlib.sha256("\n".join([loaded.manifest_hash, *served]).encode("utf-8")).hexdigest()


def _load(models_dir: Path, manifest: Manifest, manifest_hash: str, files: EnsembleFiles) -> _LoadedSet:
    metadata = _read_metadata(models_dir, manifest, files)
    scaling, scaler_source = _load_scaling(models_dir, manifest, metadata, files)
    members, sources = [], {"scaler": scaler_source}
    for name in MEMBERS:
        member, sources[name] = _load_member(models_dir, manifest, metadata, name, files)
        members.append(member)
    return _LoadedSet(manifest, manifest_hash, metadata, scaling, ServedMembers(members), sources)


def _read_metadata(models_dir: Path, manifest: Manifest, files: EnsembleFiles) -> Mapping[str, Any] | None:
    """Return the metadata, or None with a warning: only the last step of a chain needs it."""
    try:
        return read_metadata(models_dir, manifest, files.metadata, (), files.mend)
    except ModelError as error:
        _LOG.warning("%s", error)
        return None


def _load_scaling(
    models_dir: Path, manifest: Manifest, metadata: Mapping[str, Any] | None, files: EnsembleFiles
) -> tuple[Scaling, str]:
    try:
        scaler = unpickle(read_artifact(models_dir, manifest, files.scaler, files.mend), files.scaler)
        scaling = Scaling(scaler.mean_, scaler.scale_)
        # Divided by zero a finite feature is none, and no model shall be asked about that.
        if not (np.isfinite(scaling.mean).all() and np.isfinite(scaling.scale).all() and scaling.scale.all()):
            raise ModelError(f"{files.scaler} does not hold the scaling of finite numbers")
        return scaling, files.scaler
    except ModelError as error:
        if metadata is None:
            raise ModelError(
                f"neither {files.scaler} nor {files.metadata} in {models_dir} can be used: {error}"
            ) from error
        _LOG.warning("%s; scaling from %s instead", error, files.metadata)
        stored = metadata["scaling"]
        return Scaling(
            np.array(stored["mean"], dtype=np.float64), np.array(stored["scale"], dtype=np.float64)
        ), files.metadata


def _load_member(
    models_dir: Path, manifest: Manifest, metadata: Mapping[str, Any] | None, name: str, files: EnsembleFiles
) -> tuple[ServedMember, str]:
    """Try a member's files in the order of the chain; the first whose hash fits and that loads is used."""
    reasons = []
    for kind, load in _CHAIN:
        file = files.member(name, kind)
        try:
            if kind == "raw" and metadata is None:
                raise ModelError(f"{file} needs the calibrator in {files.metadata}, which cannot be used")
            content = read_artifact(models_dir, manifest, file, files.mend)
            width = len(manifest.features) + len(files.inputs)
            return load(_Source(content, file, name, metadata, width)), file
        except ModelError as error:
            _LOG.warning("%s: %s", name, error)
            reasons.append(str(error))
    tried = ", ".join(files.member(name, kind) for kind, _ in _CHAIN)
    raise ModelError(
        f"no file of member {name} in {models_dir} can be used ({tried}); {files.mend}. " + " | ".join(reasons)
    )


def unpickle(content: bytes, file: str) -> Any:
    """Decode a pickle whose hash has been checked.

    Raises
    ------
    ModelError
        When the installed libraries cannot read it, or only warn that they may misread it.
    """
    try:
        with warnings.catch_warnings():
            # scikit-learn only warns when a pickle is from another release and may be misread.
            warnings.filterwarnings("error", message="Trying to unpickle estimator")
            return pickle.load(io.BytesIO(content))
    except Exception as error:
        # Decoding foreign versions fails with whatever the library happens to raise.
        raise ModelError(
            f"{file} cannot be loaded by the installed libraries ({type(error).__name__}: {error})"
        ) from error


def _from_calibrated(source: _Source) -> ServedMember:
    member = unpickle(source.content, source.file)
    if not isinstance(member, CalibratedMember) or member.name != source.name:
        raise ModelError(f"{source.file} does not hold the calibrated member {source.name}")
    return served_member(member, source.width, source.file)


def onnx_probabilities(content: bytes) -> ProbabilityFunction:
    """Return a function from scaled float32 features (n, k) to the probabilities (n, 3) of an ONNX member.

    Raises
    ------
    ModelError
        When onnxruntime cannot load the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Several threads would add the trees up in another order from run to run.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime raises its own C++ exception types, which share no base class.
        raise ModelError(f"onnxruntime cannot load the model ({error})") from error

    def predict(scaled: Float32Matrix) -> Float64Array:
        # Row by row: onnxruntime's vectorised logarithm and sigmoid differ in the last bit with a
        # row's place in the batch, and a row must get the same answer alone.
        answer = np.empty((len(scaled), N_CLASSES))
        for row in range(len(scaled)):
            answer[row] = session.run(None, {"features": scaled[row : row + 1]})[0][0]
        return answer

    return predict


def _from_onnx(source: _Source) -> ServedMember:
    try:
        return ServedMember(onnx_probabilities(source.content), None)
    except ModelError as error:
        raise ModelError(f"{source.file}: {error}") from error


def _from_raw(source: _Source) -> ServedMember:
    assert source.metadata is not None, "the caller refuses a raw member without metadata"
    calibrator = Calibrator.from_dict(source.metadata["calibrators"][source.name])
    member = CalibratedMember(source.name, unpickle(source.content, source.file), calibrator)
    return served_member(member, source.width, source.file)


_CHAIN: tuple[tuple[FileKind, _Loader], ...] = (
    ("calibrated", _from_calibrated),
    ("onnx", _from_onnx),
    ("raw", _from_raw),
)
