"""The two searches from bars to ml_config.json: signal models with their thresholds, position model with its rule."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from ml.ensemble.device import choose_devices
from ml.sets.compat import hash_bars
from ml.stages.predecessors import Foundation, foundation_of, require_predecessors
from ml.stages.report import iso_text
from ml.stages.run import StageRun, thread_count
from ml.tune.adoption import SettingsFile, adopt
from ml.tune.objective import Objective
from ml.tune.position_objective import PositionObjective
from ml.tune.signal_objective import SignalObjective
from ml.tune.study import SearchOutcome, SearchPlan, Tell, run_search
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings
from novosky.settings.ml import TuningProvenance

SearchKind = Literal["signal", "position"]


def search_signal(
    bars: pd.DataFrame,
    settings: Settings,
    file: SettingsFile,
    plan: SearchPlan,
    *,
    folds: int,
    news: NewsCalendar | None,
    dry_run: bool,
    tell: Tell,
) -> SearchOutcome:
    """Search the signal settings and write better ones, if found, into the settings file.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bar frame of the training window; only bars after it can judge the result.
    settings : Settings
        For the traded bracket and the slippage.
    file : SettingsFile
    plan : SearchPlan
    folds : int
    news : NewsCalendar or None
    dry_run : bool
        Write nothing.
    tell : Tell

    Raises
    ------
    UsageError, DataError, SettingsError, StorageError, LockedError
    """
    ml_settings = file.settings
    objective = SignalObjective.prepare(
        bars,
        settings,
        ml_settings,
        folds=folds,
        devices=choose_devices(ml_settings.training.device),
        threads=thread_count(ml_settings),
        news=news,
    )
    return search_settings("signal", objective, bars, file, plan, dry_run, tell)


def search_position(
    bars: pd.DataFrame,
    models: Path,
    settings: Settings,
    file: SettingsFile,
    plan: SearchPlan,
    *,
    folds: int,
    news: NewsCalendar | None,
    dry_run: bool,
    tell: Tell,
) -> SearchOutcome:
    """Search the position settings on the entries of a signal set; otherwise as `search_signal`.

    Parameters
    ----------
    bars : pandas.DataFrame
        Must hold the bars the signal set was trained on; no others are used.
    models : Path
        The signal set.

    Raises
    ------
    ModelError
        The signal set is not whole; names the file and the command that makes it.
    UsageError, DataError, SettingsError, StorageError, LockedError
    """
    ml_settings = file.settings
    foundation = signal_foundation(bars, models, settings, ml_settings, news)
    objective = PositionObjective.prepare(
        foundation.bars,
        foundation.out_of_fold,
        settings,
        ml_settings,
        folds=folds,
        devices=choose_devices(ml_settings.training.device),
        threads=thread_count(ml_settings),
        news=news,
    )
    return search_settings("position", objective, foundation.bars, file, plan, dry_run, tell)


def signal_foundation(
    bars: pd.DataFrame, models: Path, settings: Settings, ml_settings: MlSettings, news: NewsCalendar | None
) -> Foundation:
    """Return the bars of a signal set and what it said of them out of fold.

    Raises
    ------
    ModelError
        The signal set is not whole.
    DataError
        The bars given do not hold those of the set.
    """
    require_predecessors(("position",), models, ml_settings)
    return foundation_of(
        StageRun(
            bars=bars,
            ml_settings=ml_settings,
            settings=settings,
            models_dir=models,
            staging=models,
            tell=lambda step, done, total: None,
            seed=None,
            news=news,
            trade_history=None,
            trained=(),
        )
    )


def search_settings(
    kind: SearchKind,
    objective: Objective,
    bars: pd.DataFrame,
    file: SettingsFile,
    plan: SearchPlan,
    dry_run: bool,
    tell: Tell,
) -> SearchOutcome:
    """Run a search over any objective and write settings better than the present ones, with their record.

    Parameters
    ----------
    kind : {"signal", "position"}
        Where the record goes.
    objective : Objective
    bars : pandas.DataFrame
        What the search may see.
    file : SettingsFile
    plan : SearchPlan
    dry_run : bool
        Write nothing.
    tell : Tell

    Raises
    ------
    UsageError, DataError, SettingsError, StorageError, LockedError
    """
    outcome = run_search(objective, file.settings, plan, tell)
    if outcome.best is not None and outcome.improved and not dry_run:
        record = TuningProvenance(
            study=outcome.study,
            storage=outcome.storage,
            trials=len(outcome.trials),
            best_value=outcome.best.value,
            baseline_value=outcome.baseline.value if outcome.baseline.eligible else None,
            trades=outcome.best.overall.trades,
            start=iso_text(bars["time"].iloc[0]),
            end=iso_text(bars["time"].iloc[-1]),
            data_hash=hash_bars(bars),
        )
        adopt(file, outcome.best.values, kind, record)
    return outcome
