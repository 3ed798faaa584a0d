"""Training of the models in their order, into a set that replaces the old one as a whole."""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ml.compat import (
    MANIFEST_NAME,
    Manifest,
    feature_hash,
    hash_bars,
    hash_training_settings,
    library_versions,
    read_artifact,
    read_manifest,
    verify_compat,
    write_manifest,
)
from ml.device import Devices, choose_devices
from ml.ensemble import (
    CLASS_NAMES,
    MEMBERS,
    METADATA_NAME,
    SCALER_NAME,
    CalibratedMember,
    Float32Matrix,
    Scaling,
    member_file,
    tree_count,
)
from ml.model_set import replace_model_set
from ml.onnx_export import export_onnx
from ml.signal_trainer import (
    Progress,
    SignalDataset,
    SignalModels,
    WarmStart,
    build_dataset,
    probability_metrics,
    train_signal,
    warm_start_exhausted,
)
from novosky.errors import ModelCompatibilityError, ModelError, UsageError
from novosky.files import sha256_of, write_bytes, write_json
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings

Stage = Literal["signal", "position", "sltp", "risk"]
STAGE_ORDER: tuple[Stage, ...] = ("signal", "position", "sltp", "risk")
OUT_OF_FOLD_NAME = "oof_signal.npz"
# Every step of the inference chain agrees with the calibrated pickle to within this.
ONNX_TOLERANCE = 1e-4
_ONNX_CHECK_ROWS = 10_000


@dataclass(frozen=True)
class TrainingReport:
    """What a training run did.

    Attributes
    ----------
    models_dir : Path
    stages : tuple of str
        In the order in which they were trained.
    bars, rows : int
        Bars given, and those of them with features and a label.
    train_start, train_end, train_cutoff : pandas.Timestamp
        UTC opens of the first bar, the last bar, and the last bar a label looked at.
    class_balance : mapping of str to float
        Share of HOLD, BUY and SELL among the rows.
    metrics : mapping of str to mapping
        Out-of-fold `probability_metrics` of every member and of their mean (`ensemble`).
    trees : mapping of str to int
    warm_start : bool
    device : str
        Where the boosters trained, and why.
    seconds : float
        Wall time.
    notes : tuple of str
        What the user should know, e.g. why there was no warm start.
    """

    models_dir: Path
    stages: tuple[Stage, ...]
    bars: int
    rows: int
    train_start: pd.Timestamp
    train_end: pd.Timestamp
    train_cutoff: pd.Timestamp
    class_balance: Mapping[str, float]
    metrics: Mapping[str, Mapping[str, Any]]
    trees: Mapping[str, int]
    warm_start: bool
    device: str
    seconds: float
    notes: tuple[str, ...]


def ordered_stages(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Return the stages in the order of training: Signal, Position, SLTP, Risk.

    Raises
    ------
    UsageError
        When the list is empty.
    """
    if not stages:
        raise UsageError("name at least one stage to train, e.g. --ensemble")
    return tuple(stage for stage in STAGE_ORDER if stage in stages)


def train(
    bars: pd.DataFrame,
    ml_settings: MlSettings,
    settings: Settings,
    models_dir: Path,
    stages: Sequence[Stage] = ("signal",),
    *,
    warm_start: bool = True,
    progress: Progress | None = None,
    seed: int | None = None,
    news: NewsCalendar | None = None,
) -> TrainingReport:
    """Train the stages in their order and put the finished set in place at the end.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame of the training window; its last bar is the newest the models may know.
    ml_settings : MlSettings
    settings : Settings
    models_dir : Path
        The set to replace; whatever else lives there is carried over.
    stages : sequence of str
        Any order.
    warm_start : bool
        Continue from the set in `models_dir` where there is one.
    progress : callable, optional
    seed : int, optional
        Instead of `signal_model.seed`.
    news : NewsCalendar, optional
        For the news features.

    Raises
    ------
    UsageError
        A stage that cannot be trained.
    DataError
        Too few labelled rows.
    ModelCompatibilityError
        A warm start from a set with other features, libraries or hyperparameters.
    LockedError
        Another run is writing the set.
    StorageError
        The set could not be written; the old one is in place.
    """
    order = ordered_stages(stages)
    if order != ("signal",):
        raise UsageError(f"only the signal stage can be trained, not {', '.join(s for s in order if s != 'signal')}")
    started = time.perf_counter()
    tell = progress or _silent
    chosen_seed = ml_settings.signal_model.seed if seed is None else seed
    with replace_model_set(models_dir) as staging:
        warm, notes = (
            load_warm_start(models_dir, ml_settings, bars)
            if warm_start
            else (None, ("trained afresh (--no-warmstart)",))
        )
        tell("features and labels", 0, 1)
        dataset = build_dataset(bars, ml_settings, news)
        devices = choose_devices(ml_settings.training.device)
        models = train_signal(
            dataset,
            ml_settings,
            devices=devices,
            threads=_threads(ml_settings),
            seed=chosen_seed,
            warm=warm,
            progress=tell,
        )
        tell("writing the set", 1, 1)
        report = TrainingReport(
            models_dir=models_dir,
            stages=order,
            bars=len(bars),
            rows=len(dataset.labels),
            train_start=bars["time"].iloc[0],
            train_end=bars["time"].iloc[-1],
            train_cutoff=dataset.cutoff,
            class_balance=_class_balance(dataset),
            metrics=_metrics(models, dataset),
            trees={name: tree_count(name, models.members[name].base) for name in MEMBERS},
            warm_start=warm is not None,
            device=devices.explanation,
            seconds=time.perf_counter() - started,
            notes=notes,
        )
        _write_signal(staging, models, dataset, report, settings, ml_settings, chosen_seed, bars, news)
        _write_manifest(staging, models_dir, report, ml_settings, bars)
    return report


def _silent(step: str, done: int, total: int) -> None:
    """Take progress and show nothing."""


def _threads(ml_settings: MlSettings) -> int:
    from joblib import cpu_count

    return ml_settings.training.threads or int(cpu_count())


def load_warm_start(
    models_dir: Path, ml_settings: MlSettings, bars: pd.DataFrame
) -> tuple[WarmStart | None, tuple[str, ...]]:
    """Load what a warm start continues from, or say why training starts afresh.

    Returns
    -------
    warm : WarmStart or None
    notes : tuple of str
        One line with the reason.

    Raises
    ------
    ModelCompatibilityError
        The set fits another configuration; continuing it would mix two models.
    """
    if not (models_dir / MANIFEST_NAME).exists():
        return None, ("trained afresh: there is no earlier set",)
    try:
        manifest = verify_compat(models_dir, ml_settings)
        _refuse_other_settings(manifest, ml_settings)
        if manifest.train_cutoff > bars["time"].iloc[-1]:
            return None, (
                f"trained afresh: the earlier set has seen bars up to {manifest.train_cutoff_date}, beyond this window",
            )
        scaler = _unpickle_artifact(models_dir, manifest, SCALER_NAME)
        bases = {name: _unpickle_artifact(models_dir, manifest, member_file(name, "raw")) for name in MEMBERS}
    except ModelCompatibilityError:
        raise
    except ModelError as error:
        return None, (f"trained afresh: the earlier set cannot be loaded ({error})",)
    if warm_start_exhausted(bases, ml_settings):
        return None, (
            "trained afresh: another warm start would grow the earlier set beyond twice its configured trees",
        )
    return WarmStart(Scaling(scaler.mean_, scaler.scale_), bases), (
        f"continued from the set trained up to {manifest.train_cutoff_date}",
    )


def _refuse_other_settings(manifest: Manifest, ml_settings: MlSettings) -> None:
    if manifest.config_hash != hash_training_settings(ml_settings):
        raise ModelCompatibilityError(
            "warm start refused: `labeling` or `signal_model` in ml_config.json changed since the set was trained; "
            "run `python train_ml_model.py --ensemble --no-warmstart`"
        )


def _unpickle_artifact(models_dir: Path, manifest: Manifest, name: str) -> Any:
    from ml.ensemble_predictor import unpickle

    return unpickle(read_artifact(models_dir, manifest, name), name)


def _class_balance(dataset: SignalDataset) -> dict[str, float]:
    counts = np.bincount(dataset.labels, minlength=len(CLASS_NAMES))
    return {name: float(count / len(dataset.labels)) for name, count in zip(CLASS_NAMES, counts, strict=True)}


def _metrics(models: SignalModels, dataset: SignalDataset) -> dict[str, dict[str, Any]]:
    tables = {name: models.out_of_fold[:, at] for at, name in enumerate(MEMBERS)}
    tables["ensemble"] = models.out_of_fold.mean(axis=1)
    return {name: probability_metrics(table, dataset.labels, dataset.weights) for name, table in tables.items()}


def _write_signal(
    staging: Path,
    models: SignalModels,
    dataset: SignalDataset,
    report: TrainingReport,
    settings: Settings,
    ml_settings: MlSettings,
    seed: int,
    bars: pd.DataFrame,
    news: NewsCalendar | None,
) -> None:
    scaling = Scaling(models.scaler.mean_, models.scaler.scale_)
    spread_out = np.linspace(0, len(dataset.features) - 1, min(_ONNX_CHECK_ROWS, len(dataset.features))).astype(
        np.int64
    )
    sample = scaling.apply(dataset.features[spread_out])
    for name, member in models.members.items():
        write_bytes(staging / member_file(name, "raw"), _pickled(member.base))
        write_bytes(staging / member_file(name, "calibrated"), _pickled(member))
        onnx = export_onnx(member, sample.shape[1])
        check_onnx_agrees(member, onnx, sample)
        write_bytes(staging / member_file(name, "onnx"), onnx)
    write_bytes(staging / SCALER_NAME, _pickled(models.scaler))
    write_bytes(staging / OUT_OF_FOLD_NAME, _out_of_fold_bytes(models, dataset))
    metadata = {
        "symbol": settings.symbol,
        "timeframe": settings.timeframe,
        "synthetic": bars.attrs.get("synthetic"),
        **{name: _iso(getattr(report, name)) for name in ("train_start", "train_end")},
        "train_cutoff_date": _iso(report.train_cutoff),
        "news_events": None if news is None else len(news.event_times),
        "bars": report.bars,
        "rows": report.rows,
        "class_balance": dict(report.class_balance),
        "features": list(ml_settings.features),
        "scaling": {"mean": scaling.mean.tolist(), "scale": scaling.scale.tolist()},
        "calibrators": {name: member.calibrator.as_dict() for name, member in models.members.items()},
        "out_of_fold": report.metrics,
        "trees": dict(report.trees),
        "labeling": ml_settings.labeling.model_dump(mode="json"),
        "signal_model": ml_settings.signal_model.model_dump(mode="json"),
        "seed": seed,
        "warm_start": report.warm_start,
        "device": report.device,
        "seconds": round(report.seconds, 1),
        "notes": list(report.notes),
    }
    write_json(staging / METADATA_NAME, metadata)


def _pickled(value: Any) -> bytes:
    # A fixed protocol: the same set has the same bytes under every Python from 3.8 on.
    return pickle.dumps(value, protocol=5)


def _iso(moment: pd.Timestamp) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _out_of_fold_bytes(models: SignalModels, dataset: SignalDataset) -> bytes:
    """Rows' bar opens (seconds, UTC), folds, labels and calibrated probabilities, for the later stages."""
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        time=np.asarray(dataset.times.astype("datetime64[ns, UTC]").astype("int64") // 10**9),
        fold=models.fold_of,
        label=dataset.labels,
        probabilities=models.out_of_fold.astype(np.float32),
    )
    return stream.getvalue()


def check_onnx_agrees(member: CalibratedMember, onnx: bytes, sample: Float32Matrix) -> None:
    """Run the ONNX model over scaled rows and compare it with the calibrated member.

    Raises
    ------
    ModelError
        When any probability of any row differs by more than 1e-4.
    """
    from ml.ensemble_predictor import onnx_probabilities

    difference = np.abs(onnx_probabilities(onnx)(sample) - member.predict_proba(sample)).max()
    if not difference <= ONNX_TOLERANCE:
        raise ModelError(
            f"the ONNX export of member {member.name} differs from the model by {difference:.2g}, more than {ONNX_TOLERANCE:g}; "
            "the set was not put in place. Install the library versions of requirements.txt and train again"
        )


def _write_manifest(
    staging: Path, models_dir: Path, report: TrainingReport, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    artifacts = {path.name: sha256_of(path) for path in sorted(staging.iterdir())}
    manifest = Manifest(
        features=ml_settings.features,
        feature_hash=feature_hash(ml_settings.features),
        feature_count=len(ml_settings.features),
        artifacts={**_kept_artifacts(models_dir, ml_settings), **artifacts},
        versions=library_versions(),
        train_start=_iso(report.train_start),
        train_end=_iso(report.train_end),
        train_cutoff_date=_iso(report.train_cutoff),
        data_hash=hash_bars(bars),
        config_hash=hash_training_settings(ml_settings),
    )
    write_manifest(staging, manifest)


def _kept_artifacts(models_dir: Path, ml_settings: MlSettings) -> dict[str, str]:
    """Return the hashes of files of other stages; models for other features are no longer vouched for."""
    try:
        old = read_manifest(models_dir)
    except ModelError:
        return {}
    if old.feature_hash != feature_hash(ml_settings.features):
        return {}
    return {name: digest for name, digest in old.artifacts.items() if (models_dir / name).exists()}
