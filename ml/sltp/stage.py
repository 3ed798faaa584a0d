"""The SLTP stage of a training run: after the signal set, on its out-of-fold entries."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from ml.labels.out_of_fold import OutOfFoldDistances, entry_confidence
from ml.sets.stage_files import SLTP_METADATA, SLTP_OUT_OF_FOLD, SLTP_STOP, SLTP_TARGET
from ml.sltp.predictor import SIDE_INPUT, hash_sltp_settings
from ml.sltp.trainer import SltpDataset, TrainedSltp, build_sltp_dataset, distance_metrics, terms_of, train_sltp
from ml.stages.predecessors import foundation_of
from ml.stages.report import TrainingReport
from ml.stages.run import StageRun
from novosky.files import write_bytes, write_json, write_text


def train_stage(run: StageRun) -> TrainingReport:
    """Train the SLTP models and write their files into the staging directory.

    Parameters
    ----------
    run : StageRun

    Raises
    ------
    ModelError
        The signal set is not whole.
    DataError
        The bars are not those of the signal set, or give too few entries.
    """
    started = time.perf_counter()
    ml_settings, model = run.ml_settings, run.ml_settings.position_model
    foundation = foundation_of(run)
    bars = foundation.bars
    chosen_seed = ml_settings.ml_sltp.seed if run.seed is None else run.seed
    run.tell("sltp labels", 0, 1)
    dataset = build_sltp_dataset(bars, foundation.out_of_fold, run.settings, ml_settings, run.news)
    models = train_sltp(
        dataset,
        ml_settings,
        seed=chosen_seed,
        progress=lambda step, done, total: run.tell(f"sltp {step}", done, total),
    )
    run.tell("writing the set", 1, 1)
    confidence = entry_confidence(ml_settings, foundation.out_of_fold)
    longs = int(np.count_nonzero(dataset.entries.side > 0))
    report = run.report(
        "sltp",
        bars,
        rows=len(dataset.entries.bar),
        cutoff=dataset.cutoff,
        metrics=distance_metrics(dataset, models, ml_settings),
        trees={"stop": models.stop.num_trees(), "target": models.target.num_trees()},
        device="CPU",
        started=started,
        notes=(
            f"{longs} longs and {len(dataset.entries.bar) - longs} shorts from out-of-fold entries with confidence "
            f"{confidence:g} and gap {model.entry_min_gap:g}",
        ),
    )
    _write_models(run.staging, models, dataset)
    write_json(run.staging / SLTP_METADATA, _metadata(run, report, chosen_seed))
    return report


def _write_models(staging: Path, models: TrainedSltp, dataset: SltpDataset) -> None:
    write_text(staging / SLTP_STOP, models.stop.model_to_string())
    write_text(staging / SLTP_TARGET, models.target.model_to_string())
    distances = OutOfFoldDistances(dataset.row_time, models.out_of_fold)
    write_bytes(staging / SLTP_OUT_OF_FOLD, distances.to_bytes())


def _metadata(run: StageRun, report: TrainingReport, seed: int) -> dict[str, Any]:
    ml_settings = run.ml_settings
    return {
        **report.opening(run.settings),
        "entries": report.rows,
        "features": [*ml_settings.features, SIDE_INPUT],
        "quantiles": {"stop": ml_settings.ml_sltp.stop_quantile, "target": ml_settings.ml_sltp.target_quantile},
        "out_of_fold": report.metrics,
        "trees": dict(report.trees),
        "excursions": vars(terms_of(run.settings, ml_settings)),
        "ml_sltp": ml_settings.ml_sltp.model_dump(mode="json"),
        "config_hash": hash_sltp_settings(ml_settings),
        **report.closing(seed),
    }
