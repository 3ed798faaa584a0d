"""The files of the position ensemble in a model set, and their place in its manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ml.compat import Manifest, hash_position_settings, read_artifact, read_manifest, verify_compat, write_manifest
from ml.ensemble_files import POSITION_FILES, SIGNAL_FILES
from ml.ensemble_trainer import TrainedEnsemble
from ml.position_trainer import OutOfFold, PositionDataset, bracket_of
from ml.signal_artifacts import OUT_OF_FOLD_NAME, TrainingReport, hash_files, iso_text, write_members
from novosky.files import write_json
from novosky.settings import MlSettings, Settings


def require_signal_set(models_dir: Path, ml_settings: MlSettings) -> tuple[Manifest, OutOfFold]:
    """Check that the signal set is whole and return its manifest and its out-of-fold probabilities.

    Raises
    ------
    ModelError
        A file is missing or damaged; names it and the command that makes it.
    ModelCompatibilityError
        The set was made for other features or libraries.
    """
    manifest = verify_compat(models_dir, ml_settings)
    for name in SIGNAL_FILES.names:
        read_artifact(models_dir, manifest, name, SIGNAL_FILES.mend)
    return manifest, OutOfFold.from_bytes(read_artifact(models_dir, manifest, OUT_OF_FOLD_NAME, SIGNAL_FILES.mend))


def write_position(
    staging: Path,
    models: TrainedEnsemble,
    dataset: PositionDataset,
    report: TrainingReport,
    settings: Settings,
    ml_settings: MlSettings,
    seed: int,
) -> None:
    """Write the members, scaler and metadata of the position ensemble.

    Raises
    ------
    ModelError
        An ONNX export does not agree with its member.
    StorageError
        A file cannot be written.
    """
    scaling = write_members(staging, POSITION_FILES, models, dataset.features)
    bracket = bracket_of(settings, ml_settings)
    metadata: dict[str, Any] = {
        "symbol": settings.symbol,
        "timeframe": settings.timeframe,
        "train_start": iso_text(report.train_start),
        "train_end": iso_text(report.train_end),
        "train_cutoff_date": iso_text(report.train_cutoff),
        "entries": len(dataset.first),
        "rows": report.rows,
        "class_balance": dict(report.class_balance),
        "features": [*ml_settings.features, *POSITION_FILES.inputs],
        "scaling": {"mean": scaling.mean.tolist(), "scale": scaling.scale.tolist()},
        "calibrators": {name: member.calibrator.as_dict() for name, member in models.members.items()},
        "out_of_fold": report.metrics,
        "trees": dict(report.trees),
        "bracket": vars(bracket),
        "position_model": ml_settings.position_model.model_dump(mode="json"),
        "config_hash": hash_position_settings(ml_settings),
        "seed": seed,
        "device": report.device,
        "seconds": round(report.seconds, 1),
        "notes": list(report.notes),
    }
    write_json(staging / POSITION_FILES.metadata, metadata)


def extend_manifest(staging: Path, models_dir: Path, report: TrainingReport) -> None:
    """Write the manifest of the set in `models_dir` with the files of `staging` added."""
    old = read_manifest(models_dir)
    manifest = replace(
        old,
        artifacts={**old.artifacts, **hash_files(staging)},
        train_cutoff_date=iso_text(max(old.train_cutoff, report.train_cutoff)),
    )
    write_manifest(staging, manifest)
