"""The position stage of a training run: after the signal set, on its out-of-fold entries."""

from __future__ import annotations

import time

from ml.ensemble.device import choose_devices
from ml.labels.out_of_fold import entry_confidence
from ml.position.files import write_position
from ml.position.trainer import build_position_dataset, train_position
from ml.sets.ensemble_files import POSITION_FILES
from ml.stages.predecessors import foundation_of
from ml.stages.report import TrainingReport
from ml.stages.run import StageRun, class_balance, thread_count


def train_stage(run: StageRun) -> TrainingReport:
    """Train the position ensemble and write its files into the staging directory.

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
    ml_settings = run.ml_settings
    foundation = foundation_of(run)
    bars = foundation.bars
    chosen_seed = ml_settings.position_model.seed if run.seed is None else run.seed
    run.tell("position labels", 0, 1)
    dataset = build_position_dataset(bars, foundation.out_of_fold, run.settings, ml_settings, run.news)
    devices = choose_devices(ml_settings.training.device)
    models = train_position(
        dataset,
        ml_settings,
        devices=devices,
        threads=thread_count(ml_settings),
        seed=chosen_seed,
        progress=lambda step, done, total: run.tell(f"position {step}", done, total),
    )
    run.tell("writing the set", 1, 1)
    confidence = entry_confidence(ml_settings, foundation.out_of_fold)
    model = ml_settings.position_model
    report = run.report(
        "position",
        bars,
        rows=len(dataset.labels),
        cutoff=dataset.cutoff,
        balance=class_balance(dataset.labels, POSITION_FILES.class_names),
        metrics=models.metrics(dataset.labels, dataset.weights, POSITION_FILES.class_names),
        trees=models.trees,
        device=devices.explanation,
        started=started,
        notes=(
            f"{len(dataset.first)} trades from out-of-fold entries with confidence {confidence:g} "
            f"and gap {model.entry_min_gap:g}",
        ),
    )
    write_position(run.staging, models, dataset, report, run.settings, ml_settings, chosen_seed, run.onnx)
    return report
