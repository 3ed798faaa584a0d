"""The files of the position ensemble in a model set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml.ensemble.trainer import TrainedEnsemble
from ml.position.trainer import PositionDataset, bracket_of
from ml.sets.compat import hash_position_settings
from ml.sets.ensemble_files import POSITION_FILES
from ml.signal.files import write_members
from ml.stages.report import TrainingReport
from novosky.files import write_json
from novosky.settings import MlSettings, Settings


def write_position(
    staging: Path,
    models: TrainedEnsemble,
    dataset: PositionDataset,
    report: TrainingReport,
    settings: Settings,
    ml_settings: MlSettings,
    seed: int,
    onnx: bool = True,
) -> None:
    """Write the members, scaler and metadata of the position ensemble.

    Raises
    ------
    ModelError
        An ONNX export does not agree with its member.
    StorageError
        A file cannot be written.
    """
    scaling = write_members(staging, POSITION_FILES, models, dataset.features, onnx=onnx)
    bracket = bracket_of(settings, ml_settings)
    metadata: dict[str, Any] = {
        **report.opening(settings),
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
        **report.closing(seed),
    }
    write_json(staging / POSITION_FILES.metadata, metadata)
