"""Training of the models in their order, into a set that replaces the old one as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

import ml.position.stage
import ml.risk.stage
import ml.signal.stage
import ml.sltp.stage
from ml.ensemble.onnx_export import require_exporters
from ml.ensemble.trainer import Progress
from ml.sets.companions import EXPECTATION_NAME, SUMMARY_NAME
from ml.sets.model_set import replace_model_set
from ml.sets.stage_files import STAGE_ORDER, Stage, outdated_by
from ml.stages.manifest import write_set_manifest
from ml.stages.predecessors import require_predecessors
from ml.stages.report import TrainingReport
from ml.stages.run import StageRun, TradeHistory
from novosky.errors import UsageError
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings

__all__ = ["STAGE_ORDER", "Stage", "TrainingReport", "ordered_stages", "train"]

_STAGES: dict[Stage, Callable[[StageRun], TrainingReport]] = {
    "signal": ml.signal.stage.train_stage,
    "position": ml.position.stage.train_stage,
    "sltp": ml.sltp.stage.train_stage,
    "risk": ml.risk.stage.train_stage,
}


def ordered_stages(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Return the stages in the order of training: Signal, Position, SLTP, Risk.

    Raises
    ------
    UsageError
        When the list is empty.
    """
    if not stages:
        raise UsageError("name at least one stage to train, e.g. --ensemble")
    return tuple(stage for stage in STAGE_ORDER if stage in stages)


def train(
    bars: pd.DataFrame,
    ml_settings: MlSettings,
    settings: Settings,
    models_dir: Path,
    stages: Sequence[Stage] = ("signal",),
    *,
    warm_start: bool = True,
    progress: Progress | None = None,
    seed: int | None = None,
    news: NewsCalendar | None = None,
    trade_history: TradeHistory | None = None,
    onnx: bool = True,
) -> TrainingReport:
    """Train the stages in their order and put the finished set in place at the end.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame of the training window; its last bar is the newest the models may know.
    ml_settings : MlSettings
    settings : Settings
    models_dir : Path
        The set to replace; whatever else lives there is carried over, except what describes
        or builds on models that are replaced.
    stages : sequence of str
        Any order.
    warm_start : bool
        Continue the signal models in `models_dir` where there are any.
    progress : callable, optional
    seed : int, optional
        Instead of the stages' own.
    news : NewsCalendar, optional
        For the news features.
    trade_history : TradeHistory, optional
        Runs the execution rules for the risk stage.
    onnx : bool
        False leaves the ONNX copies out, which need the extra `train`.

    Raises
    ------
    UsageError
        No stage, or the risk stage without a trade history.
    DataError
        Too few labelled rows, entries or trades.
    ModelError
        A stage without the stages it builds on.
    ModelCompatibilityError
        A warm start from a set with other features, libraries or hyperparameters; or ONNX copies
        are wanted and what writes them is not installed.
    LockedError
        Another run is writing the set.
    StorageError
        The set could not be written; the old one is in place.
    """
    order = ordered_stages(stages)
    if "risk" in order and trade_history is None:
        raise UsageError("the risk stage learns from a completed backtest, and no trade history was given to run it")
    if onnx:
        require_exporters()
    require_predecessors(order, models_dir, ml_settings)
    # A new signal set leaves the summary of the old one behind; other stages keep it. What the set earned, no model of
    # which may be another, goes in any case.
    outdated = (*outdated_by(order), EXPECTATION_NAME, *((SUMMARY_NAME,) if "signal" in order else ()))
    with replace_model_set(models_dir, leave_behind=outdated) as staging:
        run = StageRun(
            bars,
            ml_settings,
            settings,
            models_dir,
            staging,
            progress or _silent,
            seed,
            news,
            trade_history,
            order,
            onnx,
            warm_start,
        )
        reports = [_STAGES[stage](run) for stage in order]
        write_set_manifest(staging, models_dir, reports, ml_settings, bars)
    return replace(reports[0], later=tuple(reports[1:]))


def _silent(step: str, done: int, total: int) -> None:
    """Take progress and show nothing."""
