"""Training of the models in their order, into a set that replaces the old one as a whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ml.arrays import CLASS_NAMES, MEMBERS
from ml.ensemble.device import choose_devices
from ml.ensemble.members import Scaling, tree_count
from ml.ensemble.onnx_export import require_exporters
from ml.ensemble.trainer import Progress, TrainedEnsemble, WarmStart, probability_metrics, warm_start_exhausted
from ml.position.stage import train_position_stage
from ml.risk.stage import train_risk_stage
from ml.sets.compat import MANIFEST_NAME, Manifest, hash_training_settings, read_artifact, verify_compat
from ml.sets.ensemble_files import SCALER_NAME, member_file
from ml.sets.model_set import replace_model_set
from ml.sets.shap_summary import SUMMARY_NAME
from ml.sets.stage_files import STAGE_ORDER, Stage, outdated_by
from ml.signal.files import write_signal
from ml.signal.trainer import SignalDataset, build_dataset, train_signal
from ml.sltp.stage import train_sltp_stage
from ml.stages.manifest import write_set_manifest
from ml.stages.predecessors import require_predecessors
from ml.stages.report import TrainingReport
from ml.stages.run import StageRun, TradeHistory, class_balance, thread_count
from novosky.errors import ModelCompatibilityError, ModelError, UsageError
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings

__all__ = ["STAGE_ORDER", "Stage", "TrainingReport", "load_warm_start", "ordered_stages", "train"]

_LATER_STAGES = {"position": train_position_stage, "sltp": train_sltp_stage, "risk": train_risk_stage}


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
    trade_history: TradeHistory | None = None,
    onnx: bool = True,
) -> TrainingReport:
    """Train the stages in their order and put the finished set in place at the end.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame of the training window; its last bar is the newest the models may know.
    ml_settings : MlSettings
    settings : Settings
    models_dir : Path
        The set to replace; whatever else lives there is carried over, except what describes
        or builds on models that are replaced.
    stages : sequence of str
        Any order.
    warm_start : bool
        Continue the signal models in `models_dir` where there are any.
    progress : callable, optional
    seed : int, optional
        Instead of the stages' own.
    news : NewsCalendar, optional
        For the news features.
    trade_history : TradeHistory, optional
        Runs the execution rules for the risk stage.
    onnx : bool
        False leaves the ONNX copies out, which need the extra `train`.

    Raises
    ------
    UsageError
        No stage, or the risk stage without a trade history.
    DataError
        Too few labelled rows, entries or trades.
    ModelError
        A stage without the stages it builds on.
    ModelCompatibilityError
        A warm start from a set with other features, libraries or hyperparameters; or ONNX copies
        are wanted and what writes them is not installed.
    LockedError
        Another run is writing the set.
    StorageError
        The set could not be written; the old one is in place.
    """
    order = ordered_stages(stages)
    if "risk" in order and trade_history is None:
        raise UsageError("the risk stage learns from a completed backtest, and no trade history was given to run it")
    if onnx:
        require_exporters()
    require_predecessors(order, models_dir, ml_settings)
    # A new signal set leaves the summary of the old one behind; other stages keep it.
    outdated = (*outdated_by(order), *((SUMMARY_NAME,) if "signal" in order else ()))
    with replace_model_set(models_dir, leave_behind=outdated) as staging:
        run = StageRun(
            bars,
            ml_settings,
            settings,
            models_dir,
            staging,
            progress or _silent,
            seed,
            news,
            trade_history,
            order,
            onnx,
        )
        reports = [
            _train_signal_stage(run, warm_start) if stage == "signal" else _LATER_STAGES[stage](run) for stage in order
        ]
        write_set_manifest(staging, models_dir, reports, ml_settings, bars)
    return replace(reports[0], later=tuple(reports[1:]))


def _train_signal_stage(run: StageRun, warm_start: bool) -> TrainingReport:
    started = time.perf_counter()
    bars, ml_settings = run.bars, run.ml_settings
    chosen_seed = ml_settings.signal_model.seed if run.seed is None else run.seed
    warm, notes = (
        load_warm_start(run.models_dir, ml_settings, bars)
        if warm_start
        else (None, ("trained afresh (--no-warmstart)",))
    )
    run.tell("features and labels", 0, 1)
    dataset = build_dataset(bars, ml_settings, run.news)
    devices = choose_devices(ml_settings.training.device)
    models = train_signal(
        dataset,
        ml_settings,
        devices=devices,
        threads=thread_count(ml_settings),
        seed=chosen_seed,
        warm=warm,
        progress=run.tell,
    )
    run.tell("writing the set", 1, 1)
    if not run.onnx:
        notes = (*notes, "without ONNX copies; the calibrated and the raw models serve")
    report = TrainingReport(
        models_dir=run.models_dir,
        stages=("signal",),
        bars=len(bars),
        rows=len(dataset.labels),
        train_start=bars["time"].iloc[0],
        train_end=bars["time"].iloc[-1],
        train_cutoff=dataset.cutoff,
        class_balance=class_balance(dataset.labels, CLASS_NAMES),
        metrics=_metrics(models, dataset),
        trees={name: tree_count(name, models.members[name].base) for name in MEMBERS},
        warm_start=warm is not None,
        device=devices.explanation,
        seconds=time.perf_counter() - started,
        notes=notes,
    )
    write_signal(run.staging, models, dataset, report, run.settings, ml_settings, chosen_seed, bars, run.news, run.onnx)
    return report


def _silent(step: str, done: int, total: int) -> None:
    """Take progress and show nothing."""


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
    if warm_start_exhausted(bases, ml_settings.signal_model):
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
    from ml.ensemble.predictor import unpickle

    return unpickle(read_artifact(models_dir, manifest, name), name)


def _metrics(models: TrainedEnsemble, dataset: SignalDataset) -> dict[str, dict[str, Any]]:
    tables = {name: models.out_of_fold[:, at] for at, name in enumerate(MEMBERS)}
    tables["ensemble"] = models.out_of_fold.mean(axis=1)
    return {name: probability_metrics(table, dataset.labels, dataset.weights) for name, table in tables.items()}
