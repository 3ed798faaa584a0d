"""The window a signal set was trained on, found again and proved by the hash of its bars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ml.labels.out_of_fold import OutOfFold
from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import Manifest, hash_bars, read_artifact, read_metadata, verify_compat
from ml.sets.ensemble_files import METADATA_NAME
from ml.sets.model_set import recover_model_set
from ml.sets.stage_files import OUT_OF_FOLD_NAME, mend_of
from novosky.errors import DataError, ModelError, UsageError
from novosky.files import sha256_of
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings
from novosky.settings.ml import Labeling


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """What a model set remembers of the training of its signal models.

    Attributes
    ----------
    manifest : Manifest
    manifest_hash : str
        SHA-256 of `model_compat.json`, to notice when the set is replaced.
    labeling : Labeling
        The triple barrier of the training labels.
    symbol : str
    news_events : int or None
        Scheduled events the models learned from; None when they had no calendar.
    out_of_fold : OutOfFold
        What members that had not learned from a row said of it.
    """

    manifest: Manifest
    manifest_hash: str
    labeling: Labeling
    symbol: str
    news_events: int | None
    out_of_fold: OutOfFold


def read_training_record(models_dir: Path, ml_settings: MlSettings) -> TrainingRecord:
    """Read what a set remembers of its training, every file checked against the manifest.

    Raises
    ------
    ModelError
        No set, or a missing or damaged file.
    ModelCompatibilityError
        The set was made for other features or libraries.
    """
    recover_model_set(models_dir)
    manifest = verify_compat(models_dir, ml_settings)
    mend = mend_of("signal")
    metadata = read_metadata(models_dir, manifest, METADATA_NAME, ("symbol",), mend)
    try:
        labeling, news_events = Labeling.model_validate(metadata["labeling"]), metadata["news_events"]
        if news_events is not None and type(news_events) is not int:
            raise ValueError("news_events is no number")
    except (KeyError, ValueError) as error:
        raise ModelError(f"{models_dir / METADATA_NAME} does not say what training writes there; {mend}") from error
    return TrainingRecord(
        manifest=manifest,
        manifest_hash=sha256_of(models_dir / MANIFEST_NAME),
        labeling=labeling,
        symbol=str(metadata["symbol"]),
        news_events=news_events,
        out_of_fold=OutOfFold.from_bytes(read_artifact(models_dir, manifest, OUT_OF_FOLD_NAME, mend)),
    )


def check_training_bars(bars: pd.DataFrame, manifest: Manifest) -> None:
    """Check that bars contain the training window, bar for bar.

    Raises
    ------
    DataError
        The window is missing, incomplete or has other prices.
    """
    first, last = pd.Timestamp(manifest.train_start), pd.Timestamp(manifest.train_end)
    inside = ((bars["time"] >= first) & (bars["time"] <= last)).to_numpy(dtype=np.bool_)
    if not inside.any() or hash_bars(bars.loc[inside]) != manifest.data_hash:
        raise DataError(
            f"the bars from {manifest.train_start} to {manifest.train_end} are not those the models were trained on; "
            "give the file of the training with --data, newer bars appended to it where there are any, and let --start "
            "and --end cut none of them off"
        )


def check_calendar(news: NewsCalendar | None, news_events: int | None, models_dir: Path) -> None:
    """Check that a news calendar is given exactly when training had one.

    Parameters
    ----------
    news : NewsCalendar or None
    news_events : int or None
        As in `TrainingRecord`.
    models_dir : Path
        Named in the message.

    Raises
    ------
    UsageError
        Otherwise: the news features would differ by the calendar, not by the market.
    """
    if (news is None) != (news_events is None):
        raise UsageError(
            f"the models in {models_dir} were trained without a news calendar; leave --calendar out"
            if news_events is None
            else f"the models in {models_dir} were trained with a news calendar; give it with --calendar"
        )
