"""The signal stage of a training run: the first, on which all others build."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd

from engine.inputs.selectivity import Selectivity
from ml.arrays import CLASS_NAMES, MEMBERS
from ml.ensemble.device import choose_devices
from ml.ensemble.members import Scaling
from ml.ensemble.trainer import TrainedEnsemble, WarmStart, warm_start_exhausted
from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import Manifest, hash_training_settings, read_artifact, verify_compat
from ml.sets.ensemble_files import SCALER_NAME, member_file
from ml.signal.files import write_signal
from ml.signal.trainer import build_dataset, train_signal
from ml.stages.report import TrainingReport
from ml.stages.run import StageRun, class_balance, thread_count
from novosky.errors import ModelCompatibilityError, ModelError
from novosky.settings import MlSettings, Settings
from novosky.settings.profiles import profile_named


def train_stage(run: StageRun) -> TrainingReport:
    """Train the signal ensemble and write its files into the staging directory.

    Parameters
    ----------
    run : StageRun

    Raises
    ------
    DataError
        Too few labelled rows.
    ModelCompatibilityError
        A warm start from a set with other features, libraries or hyperparameters.
    """
    started = time.perf_counter()
    bars, ml_settings = run.bars, run.ml_settings
    chosen_seed = ml_settings.signal_model.seed if run.seed is None else run.seed
    warm, notes = (
        load_warm_start(run.models_dir, ml_settings, bars)
        if run.warm_start
        else (None, ("trained afresh (--no-warmstart)",))
    )
    run.tell("features and labels", 0, 1)
    dataset = build_dataset(bars, ml_settings, run.settings.frame, run.news, run.settings.instrument.calendar)
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
    notes = (*notes, _selectivity_note(models, run.settings))
    if not run.onnx:
        notes = (*notes, "without ONNX copies; the calibrated and the raw models serve")
    report = run.report(
        "signal",
        bars,
        rows=len(dataset.labels),
        cutoff=dataset.cutoff,
        balance=class_balance(dataset.labels, CLASS_NAMES),
        metrics=models.metrics(dataset.labels, dataset.weights),
        trees=models.trees,
        warm_start=warm is not None,
        device=devices.explanation,
        started=started,
        notes=notes,
    )
    write_signal(run.staging, models, dataset, report, run.settings, ml_settings, chosen_seed, bars, run.news, run.onnx)
    return report


def _selectivity_note(models: TrainedEnsemble, settings: Settings) -> str:
    profile = profile_named(settings.risk_profile.name)
    threshold = Selectivity.of(models.out_of_fold).confidence(profile.selectivity)
    return (
        f"out of fold the surest {profile.selectivity:g} % of bars, profile {profile.name}'s, had a confidence of at "
        f"least {threshold:.4f}"
    )


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
