"""Which features the signal models listen to: exact tree SHAP over a sample of the training window.

Contributions split a model's output for one row into one part per feature plus a base value
(S. M. Lundberg et al., From local explanations to global understanding with explainable AI for
trees, Nature Machine Intelligence 2, 2020). XGBoost and LightGBM compute them for their own
trees, in log-odds margins; the forest's come from the `shap` package, in probabilities. Scales
differ, so a member's mean |SHAP| is divided by its sum over all features before members are
averaged. The calibrators are monotone and not part of the explained output.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.arrays import CLASS_NAMES, MEMBERS, N_CLASSES, Float32Matrix, Float64Array
from ml.ensemble.members import CalibratedMember, Scaling, predict_base
from ml.ensemble.predictor import unpickle
from ml.ensemble.trainer import Progress
from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import MEND, Manifest, read_artifact, read_metadata, verify_compat
from ml.sets.ensemble_files import METADATA_NAME, SCALER_NAME, member_file
from ml.sets.model_set import recover_model_set
from ml.sets.shap_summary import FeatureImportance, ShapSummary, signal_fingerprint
from ml.signal.trainer import SignalDataset, build_dataset
from ml.stages.window import check_calendar, check_training_bars
from novosky.errors import ModelCompatibilityError, ModelError, UsageError
from novosky.files import sha256_of
from novosky.market.bars import slice_bars
from novosky.market.instrument import TradingCalendar
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import Timeframe
from novosky.settings.ml import MlSettings

SAMPLE_ROWS = 2_000
"""Rows explained unless told otherwise; on BTCUSD 2021-2023 five times as many move no rank by more than two."""
ADDITIVITY_TOLERANCE = 1e-4
"""How far contributions plus base value may lie from the output they explain."""


@dataclass(frozen=True, eq=False)
class _SignalSet:
    manifest: Manifest
    manifest_hash: str
    scaling: Scaling
    bases: dict[str, Any]
    news_events: int | None


def require_shap() -> None:
    """Raise `ModelCompatibilityError` when the `shap` package is absent, before any work is done."""
    if importlib.util.find_spec("shap") is None:
        raise ModelCompatibilityError(
            "the library shap is not installed, and the random forest cannot be explained without it; "
            "run `pip install -r requirements-dev.lock`"
        )


def explain_signal(
    models_dir: Path,
    ml_settings: MlSettings,
    bars: pd.DataFrame,
    frame: Timeframe,
    news: NewsCalendar | None = None,
    *,
    calendar: TradingCalendar | None = None,
    rows: int = SAMPLE_ROWS,
    seed: int | None = None,
    progress: Progress | None = None,
) -> ShapSummary:
    """Rank the features of the signal models in a directory by their mean |SHAP|.

    Parameters
    ----------
    models_dir : Path
        Files are decoded only after their hash was checked.
    ml_settings : MlSettings
    bars : pandas.DataFrame
        Bar frame that contains the window the models were trained on.
    frame : Timeframe
        Of the bars.
    news : NewsCalendar, optional
        Given exactly when training had one.
    calendar : TradingCalendar, optional
        When the market deals, as in training.
    rows : int
        Rows to explain, spread evenly over the window; all of them when there are fewer.
    seed : int, optional
        Of the sample, instead of `signal_model.seed`.
    progress : callable, optional

    Returns
    -------
    ShapSummary
        The same for the same models, bars, rows and seed.

    Raises
    ------
    UsageError
        Fewer than one row, or a calendar where training had none or the other way round.
    DataError
        The bars are not those of the training window.
    ModelError
        No set, a damaged or foreign file, contributions that do not add up to the output.
    ModelCompatibilityError
        The set was made for other features or libraries, or `shap` is not installed.
    """
    if rows < 1:
        raise UsageError(f"{rows} rows cannot be explained; ask for 1 or more")
    require_shap()
    chosen_seed = ml_settings.signal_model.seed if seed is None else seed
    tell = progress or _silent
    loaded = _load(models_dir, ml_settings)
    tell("features", 0, len(MEMBERS) + 1)
    dataset = _training_rows(loaded, models_dir, bars, ml_settings, frame, news, calendar)
    sample = stratified_rows(len(dataset.labels), rows, np.random.default_rng(chosen_seed))
    scaled = loaded.scaling.apply(dataset.features[sample])
    tables = {}
    for at, name in enumerate(MEMBERS):
        tell(f"SHAP of {name}", at + 1, len(MEMBERS) + 1)
        values = member_contributions(name, loaded.bases[name], scaled)
        check_additivity(name, values, raw_output(name, loaded.bases[name], scaled))
        tables[name] = np.abs(values[:, :, :-1]).mean(axis=0)
    tell("SHAP", len(MEMBERS) + 1, len(MEMBERS) + 1)
    return ShapSummary(
        ranked_features=rank_features(loaded.manifest.features, tables),
        rows=len(sample),
        seed=chosen_seed,
        model_fingerprint=signal_fingerprint(loaded.manifest),
        window={"start": loaded.manifest.train_start, "end": loaded.manifest.train_end},
        created_from=loaded.manifest_hash,
        total={name: float(table.mean(axis=0).sum()) for name, table in tables.items()},
        synthetic=bars.attrs.get("synthetic"),
    )


def _silent(step: str, done: int, total: int) -> None:
    """Take progress and show nothing."""


def stratified_rows(count: int, wanted: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return `wanted` row numbers below `count`, ascending, one drawn from each of as many equal stretches.

    Rows are in time order, so every part of the window is represented alike. All rows when
    there are no more than `wanted`.
    """
    if count <= wanted:
        return np.arange(count, dtype=np.int64)
    edges = np.arange(wanted + 1, dtype=np.int64) * count // wanted
    return rng.integers(edges[:-1], edges[1:])


def member_contributions(name: str, base: Any, scaled: Float32Matrix) -> Float64Array:
    """Return exact tree SHAP values of a member's raw output.

    Parameters
    ----------
    name : str
        `rf`, `xgb` or `lgb`.
    base : RandomForestClassifier or Booster
    scaled : ndarray of float32, shape (n, k)

    Returns
    -------
    ndarray, shape (n, 3 classes, k + 1)
        Contributions of the k features, then the base value: probabilities for the forest,
        log-odds margins for the boosters.
    """
    if name == "rf":
        return _forest_contributions(base, scaled)
    if name == "xgb":
        import xgboost

        values = base.predict(xgboost.DMatrix(scaled, nthread=1), pred_contribs=True)
    else:
        values = base.predict(scaled, pred_contrib=True, num_threads=1)
    return np.asarray(values, dtype=np.float64).reshape(len(scaled), N_CLASSES, scaled.shape[1] + 1)


def _forest_contributions(forest: Any, scaled: Float32Matrix) -> Float64Array:
    from shap import TreeExplainer

    explainer = TreeExplainer(forest, feature_perturbation="tree_path_dependent")
    # Its own check prints rather than measures; `check_additivity` looks at every row.
    values = np.asarray(explainer.shap_values(scaled, check_additivity=False), dtype=np.float64)
    answer = np.empty((len(scaled), N_CLASSES, scaled.shape[1] + 1))
    answer[:, :, :-1] = values.transpose(0, 2, 1)
    answer[:, :, -1] = explainer.expected_value
    return answer


def raw_output(name: str, base: Any, scaled: Float32Matrix) -> Float64Array:
    """Return what `member_contributions` explains, shape (n, 3): probabilities (rf) or margins (xgb, lgb)."""
    if name == "rf":
        return predict_base(name, base, scaled)
    if name == "xgb":
        import xgboost

        return np.asarray(base.predict(xgboost.DMatrix(scaled, nthread=1), output_margin=True), dtype=np.float64)
    return np.asarray(base.predict(scaled, raw_score=True, num_threads=1), dtype=np.float64)


def check_additivity(name: str, contributions: Float64Array, output: Float64Array) -> None:
    """Check that contributions (n, 3, k + 1) add up to the output (n, 3) in every row and class.

    Raises
    ------
    ModelError
        When a sum is off by more than 1e-4: the explanation would be of another model.
    """
    worst = float(np.abs(contributions.sum(axis=2) - output).max())
    if not worst <= ADDITIVITY_TOLERANCE:
        raise ModelError(
            f"the SHAP values of member {name} miss its output by {worst:.2g}, more than {ADDITIVITY_TOLERANCE:g}; "
            "install the library versions of requirements-dev.lock and train again"
        )


def rank_features(features: tuple[str, ...], tables: dict[str, Float64Array]) -> tuple[FeatureImportance, ...]:
    """Rank features by the mean over members of their share in each member's mean |SHAP|.

    Parameters
    ----------
    features : tuple of str, length k
    tables : mapping of member to ndarray, shape (3 classes, k)
        Mean |SHAP| over rows, in the member's own unit.

    Returns
    -------
    tuple of FeatureImportance
        Descending; equal values in the order of `features`.

    Raises
    ------
    ModelError
        A member without a single split: it has no opinion to share out.
    """
    from ml.feature_engineering import PROTECTED_FEATURES

    shares = {}
    for name in MEMBERS:
        total = tables[name].mean(axis=0).sum()
        if not total > 0.0:
            raise ModelError(
                f"member {name} does not use any feature, so there is nothing to rank; train on more bars, "
                "or allow smaller leaves under `signal_model` in ml_config.json"
            )
        shares[name] = tables[name] / total
    of_member = {name: share.mean(axis=0) for name, share in shares.items()}
    overall = np.mean([of_member[name] for name in MEMBERS], axis=0)
    return tuple(
        FeatureImportance(
            feature=features[at],
            mean_abs_shap=float(overall[at]),
            **{name: float(of_member[name][at]) for name in MEMBERS},
            protected=features[at] in PROTECTED_FEATURES,
            by_class={
                name: {label: float(shares[name][row, at]) for row, label in enumerate(CLASS_NAMES)} for name in MEMBERS
            },
        )
        for at in np.argsort(-overall, kind="stable").tolist()
    )


def _load(models_dir: Path, ml_settings: MlSettings) -> _SignalSet:
    """Load scaler and members; unlike prediction there is no other file to fall back on."""
    recover_model_set(models_dir)
    manifest = verify_compat(models_dir, ml_settings)
    manifest_hash = sha256_of(models_dir / MANIFEST_NAME)
    scaler = unpickle(read_artifact(models_dir, manifest, SCALER_NAME), SCALER_NAME)
    metadata = read_metadata(models_dir, manifest, METADATA_NAME, (), MEND)
    bases = {}
    for name in MEMBERS:
        file = member_file(name, "calibrated")
        member = unpickle(read_artifact(models_dir, manifest, file), file)
        if not isinstance(member, CalibratedMember) or member.name != name:
            raise ModelError(f"{models_dir / file} does not hold the calibrated member {name}; {MEND}")
        bases[name] = member.base
    return _SignalSet(manifest, manifest_hash, Scaling(scaler.mean_, scaler.scale_), bases, metadata["news_events"])


def _training_rows(
    loaded: _SignalSet,
    models_dir: Path,
    bars: pd.DataFrame,
    ml_settings: MlSettings,
    frame: Timeframe,
    news: NewsCalendar | None,
    calendar: TradingCalendar | None,
) -> SignalDataset:
    """Return the rows the models were fitted on."""
    check_calendar(news, loaded.news_events, models_dir)
    check_training_bars(bars, loaded.manifest)
    first, last = pd.Timestamp(loaded.manifest.train_start), pd.Timestamp(loaded.manifest.train_end)
    window = slice_bars(bars, first, last + pd.Timedelta(seconds=1), source="the training window of the models")
    return build_dataset(window, ml_settings, frame, news, calendar)
