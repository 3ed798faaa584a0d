"""What a training stage reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ml.sets.stage_files import Stage
from novosky.settings import Settings


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
        Share of each class among the rows.
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
    later : tuple of TrainingReport
        Of the stages trained after this one in the same run.
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
    later: tuple[TrainingReport, ...] = ()

    def opening(self, settings: Settings) -> dict[str, Any]:
        """Return how every metadata file begins: the market, and the window that was learned from."""
        return {
            "symbol": settings.symbol,
            "timeframe": settings.timeframe,
            "train_start": iso_text(self.train_start),
            "train_end": iso_text(self.train_end),
            "train_cutoff_date": iso_text(self.train_cutoff),
        }

    def closing(self, seed: int) -> dict[str, Any]:
        """Return how every metadata file ends: how the training went."""
        return {
            "seed": seed,
            "device": self.device,
            "seconds": round(self.seconds, 1),
            "notes": list(self.notes),
        }


def iso_text(moment: pd.Timestamp) -> str:
    """Return a UTC moment as it stands in metadata: 2024-01-31T12:00:00Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
