"""The manifest of a finished set: what it keeps of the one before, and what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ml.sets.compat import (
    Manifest,
    feature_hash,
    hash_bars,
    hash_training_settings,
    library_versions,
    read_manifest,
    write_manifest,
)
from ml.sets.stage_files import outdated_by
from ml.stages.report import TrainingReport, iso_text
from novosky.files import sha256_of
from novosky.settings import MlSettings


def write_set_manifest(
    staging: Path, models_dir: Path, reports: Sequence[TrainingReport], ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    """Hash every new file of a set and write its manifest.

    New signal models begin a new set: nothing of the one in `models_dir` is vouched for any
    more. Otherwise its entries are kept, but for stages that learned from what is replaced.

    Parameters
    ----------
    staging : Path
        The new files.
    models_dir : Path
        The set in place.
    reports : sequence of TrainingReport
        One per trained stage, in order.
    ml_settings : MlSettings
    bars : pandas.DataFrame
        Given to training.
    """
    trained = tuple(stage for report in reports for stage in report.stages)
    cutoff = max(report.train_cutoff for report in reports)
    if "signal" in trained:
        manifest = Manifest(
            features=ml_settings.features,
            feature_hash=feature_hash(ml_settings.features),
            feature_count=len(ml_settings.features),
            artifacts=_hashes(staging),
            versions=library_versions(),
            train_start=iso_text(reports[0].train_start),
            train_end=iso_text(reports[0].train_end),
            train_cutoff_date=iso_text(cutoff),
            data_hash=hash_bars(bars),
            config_hash=hash_training_settings(ml_settings),
        )
    else:
        old = read_manifest(models_dir)
        outdated = set(outdated_by(trained))
        kept = {name: digest for name, digest in old.artifacts.items() if name not in outdated}
        manifest = replace(
            old,
            artifacts={**kept, **_hashes(staging)},
            train_cutoff_date=iso_text(max(old.train_cutoff, cutoff)),
        )
    write_manifest(staging, manifest)


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
