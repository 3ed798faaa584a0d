"""The importance of each feature, as a model set keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ml.arrays import MEMBERS
from ml.sets.companions import MANIFEST_NAME, SUMMARY_NAME
from ml.sets.compat import MEND, Manifest, read_manifest
from ml.sets.ensemble_files import SCALER_NAME, member_file
from ml.sets.model_set import lock_model_set
from novosky.errors import ModelError
from novosky.files import sha256_of, write_json
from novosky.guarded_json import read_json_file

PROTECTED_NOTE = (
    "A low value is no reason to drop a protected feature: news and sessions are rare or constant in the history "
    "the models were trained on, and their live values are injected at inference."
)

UNIT_NOTE = (
    "mean_abs_shap is the mean over rf, xgb and lgb of the feature's share in that model's mean |SHAP|, averaged over "
    "the classes; the shares of a model sum to 1. total is that sum before the division: probability for rf, log-odds "
    "for xgb and lgb."
)

_SHAP_COMMAND = "python train_ml_model.py --shap-only"


@dataclass(frozen=True)
class FeatureImportance:
    """One feature's place in the ranking; all numbers are shares of a model's mean |SHAP|.

    Attributes
    ----------
    feature : str
    mean_abs_shap : float
        Mean of `rf`, `xgb` and `lgb`.
    rf, xgb, lgb : float
        Share in that model, mean over the classes.
    protected : bool
        Never to be dropped for a low value.
    by_class : mapping of str to mapping of str to float
        Model, then class; the mean over the classes is the model's share.
    """

    feature: str
    mean_abs_shap: float
    rf: float
    xgb: float
    lgb: float
    protected: bool
    by_class: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class ShapSummary:
    """The contents of `shap_summary.json`.

    Attributes
    ----------
    ranked_features : tuple of FeatureImportance
        Descending by `mean_abs_shap`.
    rows : int
        Rows explained.
    seed : int
        Of the sample.
    model_fingerprint : str
        `signal_fingerprint` of the models described.
    window : mapping of str to str
        UTC opens of the first (`start`) and last (`end`) bar of the training window.
    created_from : str
        SHA-256 of `model_compat.json` at the time.
    total : mapping of str to float
        Mean |SHAP| summed over the features, by model, in probability (rf) or log-odds (xgb, lgb).
    synthetic : str or None
        Kind of the embedded market, None for real bars.
    """

    ranked_features: tuple[FeatureImportance, ...]
    rows: int
    seed: int
    model_fingerprint: str
    window: Mapping[str, str]
    created_from: str
    total: Mapping[str, float]
    synthetic: str | None
    note: str = PROTECTED_NOTE
    unit: str = UNIT_NOTE


def signal_fingerprint(manifest: Manifest) -> str:
    """Return the SHA-256 that names the signal models of a set: scaler, members, ordered features.

    Unlike the hash of the manifest it stays when only models of other stages are trained.

    Raises
    ------
    ModelError
        The manifest lists no signal models.
    """
    names = (SCALER_NAME, *(member_file(name, "calibrated") for name in MEMBERS))
    missing = [name for name in names if name not in manifest.artifacts]
    if missing:
        raise ModelError(f"{MANIFEST_NAME} does not list {', '.join(missing)}; {MEND}")
    lines = [manifest.feature_hash, *(f"{name} {manifest.artifacts[name]}" for name in names)]
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def write_shap_summary(models_dir: Path, summary: ShapSummary) -> Path:
    """Write `shap_summary.json` beside the models it describes, atomically.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ModelError
        Another set was put in place since the models were explained.
    LockedError
        A training run is replacing the set.
    StorageError
        It cannot be written; an earlier summary is unchanged.
    """
    path = models_dir / SUMMARY_NAME
    with lock_model_set(models_dir):
        manifest = models_dir / MANIFEST_NAME
        if not manifest.exists() or sha256_of(manifest) != summary.created_from:
            raise ModelError(
                f"the models in {models_dir} were replaced while they were explained; run `{_SHAP_COMMAND}` again"
            )
        write_json(path, asdict(summary))
    return path


def read_shap_summary(models_dir: Path) -> ShapSummary:
    """Read `shap_summary.json` and check that it describes the models beside it.

    Raises
    ------
    ModelError
        No models, no summary, one that cannot be read, or one of other models.
    """
    fingerprint = signal_fingerprint(read_manifest(models_dir))
    path = models_dir / SUMMARY_NAME
    try:
        summary = _parse(read_json_file(path))
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist; run `{_SHAP_COMMAND}`") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error}); run `{_SHAP_COMMAND}`") from error
    if summary.model_fingerprint != fingerprint:
        raise ModelError(
            f"{path} describes other models than those in {models_dir}: the set was replaced since. "
            f"Run `{_SHAP_COMMAND}`"
        )
    return summary


def _parse(content: Any) -> ShapSummary:
    if not isinstance(content, dict) or set(content) != {field.name for field in fields(ShapSummary)}:
        raise ValueError("its keys are not those of a SHAP summary")
    return ShapSummary(
        **{**content, "ranked_features": tuple(FeatureImportance(**entry) for entry in content["ranked_features"])}
    )
