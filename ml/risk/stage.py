"""The risk stage of a training run: the last, on a completed backtest of all models before it."""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ml.labels.out_of_fold import OutOfFold, OutOfFoldDistances
from ml.risk_predictor import hash_risk_settings
from ml.risk_trainer import (
    RISK_FEATURES,
    TrainedRisk,
    build_risk_dataset,
    check_trades,
    describe_multipliers,
    later_metrics,
    train_risk,
)
from ml.sets.stage_files import RISK_METADATA, RISK_MODEL, RISK_SCALER
from ml.stages.predecessors import Foundation, distances_of, foundation_of
from ml.stages.report import TrainingReport
from ml.stages.run import StageRun, TradeSequence
from novosky.errors import UsageError
from novosky.files import write_bytes, write_json
from novosky.market.bars import epoch_seconds
from novosky.settings.brackets import bracket_ranges
from novosky.settings.equity_state import LEAST_MULTIPLIER, MOST_MULTIPLIER

EARLY_SHARE = 0.7
"""Share of the out-of-fold bars before the cut between the trades that a measured model may see and those it answers
for."""
_STEPS = 4


def train_stage(run: StageRun) -> TrainingReport:
    """Train the risk model and write its files into the staging directory.

    Parameters
    ----------
    run : StageRun
        With a trade history.

    Raises
    ------
    UsageError
        No trade history was given.
    ModelError
        The signal set or the SLTP models are not whole.
    DataError
        The bars are not those of the signal set, or give too few trades.
    """
    started = time.perf_counter()
    ml_settings = run.ml_settings
    foundation, distances = foundation_of(run), distances_of(run)
    bars = foundation.bars
    seed = ml_settings.risk_model.seed if run.seed is None else run.seed
    run.tell("risk backtest", 0, _STEPS)
    sequences = _sequences(run, foundation, distances, seed)
    check_trades(len(sequences[0].returns), ml_settings)
    run.tell("risk backtest of the earlier part", 1, _STEPS)
    early = _sequences(run, *_earlier_part(foundation, distances), seed)
    run.tell("risk model on later trades", 2, _STEPS)
    measured = later_metrics(early, sequences[0], ml_settings, seed=seed)
    run.tell("risk model", 3, _STEPS)
    dataset = build_risk_dataset(sequences, ml_settings)
    trained = train_risk(dataset, ml_settings, seed=seed)
    run.tell("writing the set", _STEPS, _STEPS)
    report = run.report(
        "risk",
        bars,
        rows=len(dataset.labels),
        # The backtest may have held its last trade to the last bar.
        cutoff=bars["time"].iloc[-1],
        metrics={"multiplier": {**measured, **describe_multipliers(trained, sequences[0].states)}},
        trees={"lgb": trained.booster.current_iteration()},
        device="CPU: one small regressor",
        started=started,
        notes=_notes(sequences, measured),
    )
    _write_risk(run, trained, report, len(sequences[0].returns), seed)
    return report


def _sequences(
    run: StageRun, foundation: Foundation, distances: OutOfFoldDistances, seed: int
) -> Sequence[TradeSequence]:
    if run.trade_history is None:
        raise UsageError("the risk stage learns from a completed backtest, and no trade history was given to run it")
    return run.trade_history(
        foundation.bars, foundation.out_of_fold, distances, run.settings, run.ml_settings, run.news, seed
    )


def _earlier_part(foundation: Foundation, distances: OutOfFoldDistances) -> tuple[Foundation, OutOfFoldDistances]:
    """Return what was known at the cut: bars and answers before it."""
    times = foundation.out_of_fold.times
    cut = int(times[int(EARLY_SHARE * len(times))])
    bars: pd.DataFrame = foundation.bars.iloc[: int(np.searchsorted(epoch_seconds(foundation.bars), cut))]
    bars.attrs.update(foundation.bars.attrs)
    rows, distance_rows = times < cut, distances.times < cut
    return (
        Foundation(bars, OutOfFold(times[rows], foundation.out_of_fold.probabilities[rows])),
        OutOfFoldDistances(distances.times[distance_rows], distances.distances[distance_rows]),
    )


def _notes(sequences: Sequence[TradeSequence], measured: Mapping[str, float | None]) -> tuple[str, ...]:
    first = (
        f"{len(sequences[0].returns)} trades of a completed backtest on out-of-fold answers, "
        f"{len(sequences) - 1} resampled sequences of them"
    )
    if measured["mae"] is not None:
        return (first,)
    return first, "not measured out of sample: too few trades before or after the cut for a whole horizon"


def _write_risk(run: StageRun, trained: TrainedRisk, report: TrainingReport, trades: int, seed: int) -> None:
    """Write model, scaler and metadata; raises `StorageError`."""
    settings, ml_settings = run.settings, run.ml_settings
    write_bytes(run.staging / RISK_MODEL, trained.booster.model_to_string().encode("utf-8"))
    # A fixed protocol: the same set has the same bytes under every Python.
    write_bytes(run.staging / RISK_SCALER, pickle.dumps(trained.scaler, protocol=5))
    metadata: dict[str, Any] = {
        **report.opening(settings),
        "trades": trades,
        "samples": report.rows,
        "features": list(RISK_FEATURES),
        "bounds": {"least": LEAST_MULTIPLIER, "most": MOST_MULTIPLIER},
        "scaling": {"mean": trained.scaler.mean_.tolist(), "scale": trained.scaler.scale_.tolist()},
        "metrics": report.metrics,
        "trees": dict(report.trees),
        # A multiplier suits the size that it multiplies and the brackets of its trades.
        "risk_percent": settings.dynamic_position_sizing.risk_percent,
        "bracket_range": [list(limits) for limits in bracket_ranges(settings, ml_settings)],
        "risk_model": ml_settings.risk_model.model_dump(mode="json"),
        "config_hash": hash_risk_settings(ml_settings),
        **report.closing(seed),
    }
    write_json(run.staging / RISK_METADATA, metadata)
