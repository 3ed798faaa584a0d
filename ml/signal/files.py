"""The files of the signal ensemble in a model set, and what a training run reports."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.inputs.selectivity import Selectivity
from ml.arrays import Float32Matrix, Float64Array
from ml.ensemble.members import CalibratedMember, Scaling
from ml.ensemble.onnx_export import export_onnx
from ml.ensemble.trainer import TrainedEnsemble
from ml.sets.ensemble_files import METADATA_NAME, SIGNAL_FILES, EnsembleFiles
from ml.sets.stage_files import OUT_OF_FOLD_NAME
from ml.signal.trainer import SignalDataset
from ml.stages.report import TrainingReport
from novosky.errors import ModelError
from novosky.files import write_bytes, write_json
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings
from novosky.settings.profiles import PROFILES

# Every step of the inference chain agrees with the calibrated pickle to within this.
ONNX_TOLERANCE = 1e-4
_ONNX_CHECK_ROWS = 6_000


def write_signal(
    staging: Path,
    models: TrainedEnsemble,
    dataset: SignalDataset,
    report: TrainingReport,
    settings: Settings,
    ml_settings: MlSettings,
    seed: int,
    bars: pd.DataFrame,
    news: NewsCalendar | None,
    onnx: bool = True,
) -> None:
    """Write the members, scaler, out-of-fold probabilities and metadata into an empty directory.

    Raises
    ------
    ModelError
        An ONNX export does not agree with its member.
    StorageError
        A file cannot be written.
    """
    scaling = write_members(staging, SIGNAL_FILES, models, dataset.features, onnx=onnx)
    write_bytes(staging / OUT_OF_FOLD_NAME, _out_of_fold_bytes(models, dataset))
    metadata = {
        **report.opening(settings),
        "synthetic": bars.attrs.get("synthetic"),
        "news_events": None if news is None else len(news.event_times),
        "bars": report.bars,
        "rows": report.rows,
        "class_balance": dict(report.class_balance),
        "features": list(ml_settings.features),
        "scaling": {"mean": scaling.mean.tolist(), "scale": scaling.scale.tolist()},
        "calibrators": {name: member.calibrator.as_dict() for name, member in models.members.items()},
        "out_of_fold": report.metrics,
        "selectivity": _selectivity(models),
        "trees": dict(report.trees),
        "labeling": ml_settings.labeling.model_dump(mode="json"),
        "signal_model": ml_settings.signal_model.model_dump(mode="json"),
        "warm_start": report.warm_start,
        **report.closing(seed),
    }
    write_json(staging / METADATA_NAME, metadata)


def _selectivity(models: TrainedEnsemble) -> dict[str, dict[str, float]]:
    """Return, for every profile, its share of bars in percent and the confidence that share reached out of fold."""
    known = Selectivity.of(models.out_of_fold)
    return {
        profile.name: {"share": profile.selectivity, "confidence": known.confidence(profile.selectivity)}
        for profile in PROFILES
    }


def write_members(
    staging: Path, files: EnsembleFiles, models: TrainedEnsemble, features: Float64Array, *, onnx: bool = True
) -> Scaling:
    """Write the members and the scaler of an ensemble and return its scaling.

    Parameters
    ----------
    staging : Path
    files : EnsembleFiles
    models : TrainedEnsemble
    features : ndarray, shape (n, k)
        The training rows, on some of which every ONNX export is compared with its member.
    onnx : bool
        False leaves the ONNX copies out, which need the extra `train`; the set is whole without them.

    Raises
    ------
    ModelError
        An ONNX export does not agree with its member.
    """
    scaling = Scaling(models.scaler.mean_, models.scaler.scale_)
    spread_out = np.linspace(0, len(features) - 1, min(_ONNX_CHECK_ROWS, len(features))).astype(np.int64)
    sample = scaling.apply(features[spread_out])
    for name, member in models.members.items():
        write_bytes(staging / files.member(name, "raw"), _pickled(member.base))
        write_bytes(staging / files.member(name, "calibrated"), _pickled(member))
        if onnx:
            content = export_onnx(member, sample.shape[1])
            check_onnx_agrees(member, content, sample)
            write_bytes(staging / files.member(name, "onnx"), content)
    write_bytes(staging / files.scaler, _pickled(models.scaler))
    return scaling


def _pickled(value: Any) -> bytes:
    # A fixed protocol: the same set has the same bytes under every Python from 3.8 on.
    return pickle.dumps(value, protocol=5)


def _out_of_fold_bytes(models: TrainedEnsemble, dataset: SignalDataset) -> bytes:
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
    from ml.ensemble.predictor import onnx_probabilities

    difference = np.abs(onnx_probabilities(onnx)(sample) - member.predict_proba(sample)).max()
    if not difference <= ONNX_TOLERANCE:
        raise ModelError(
            f"the ONNX export of member {member.name} differs from the model by {difference:.2g}, "
            f"more than {ONNX_TOLERANCE:g}; the set was not put in place. Install the library versions of "
            "requirements.txt and train again"
        )
