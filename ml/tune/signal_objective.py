"""Signal settings, judged by the trades they would have opened on bars after their training.

A fold's members and calibrators learn from rows whose labels ended before the fold began,
as training would have made them then. The test rows are decided by the signal decision, the
trades filled at the next open with spread and slippage in the traded bracket and followed to
stop, target or the labels' horizon, one at a time. The gates of the execution rules that
look at the account, at sessions or at news take no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from engine.inputs.selectivity import Selectivity, decided
from ml.arrays import MEMBERS, Float64Array
from ml.ensemble.device import Devices
from ml.ensemble.members import Scaling
from ml.ensemble.trainer import Progress, TrainedEnsemble, TrainingRows, train_ensemble
from ml.labels.out_of_fold import OutOfFold, find_entries
from ml.labels.position import Bracket, Entries, IntArray, label_positions
from ml.position.trainer import bracket_of
from ml.sets.compat import hash_bars
from ml.signal.trainer import SignalDataset, build_dataset
from ml.tune.objective import check_past, fixed_settings
from ml.tune.scoring import FoldResult, one_at_a_time
from ml.tune.search_space import SIGNAL_SPACE, Parameter, signal_space
from novosky.market.bars import epoch_seconds, venue_seams
from novosky.market.instrument import TradingCalendar
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import Timeframe
from novosky.settings import MlSettings, Settings


@dataclass(frozen=True, eq=False)
class SignalObjective:
    """The training window, its folds and the terms of its trades.

    Attributes
    ----------
    bars : pandas.DataFrame
        Bar frame of the training window; nothing after it is known here.
    frame : Timeframe
        Of the bars.
    calendar : TradingCalendar
        When the market deals.
    atr : ndarray of float64
        USD, one per bar.
    dataset : SignalDataset
    folds : list of (training rows, test rows)
        Of the dataset.
    bracket : Bracket
    comparable : mapping
    devices : Devices
    threads : int
    space : tuple of Parameter
        What may be turned.
    """

    bars: pd.DataFrame
    frame: Timeframe
    calendar: TradingCalendar
    atr: Float64Array
    dataset: SignalDataset
    folds: list[tuple[IntArray, IntArray]]
    bracket: Bracket
    comparable: Mapping[str, Any]
    devices: Devices
    threads: int
    space: tuple[Parameter, ...]

    @classmethod
    def prepare(
        cls,
        bars: pd.DataFrame,
        settings: Settings,
        ml_settings: MlSettings,
        *,
        folds: int,
        devices: Devices,
        threads: int,
        news: NewsCalendar | None = None,
    ) -> Self:
        """Build features, labels and folds once for all trials.

        Raises
        ------
        UsageError
            More folds than the rows give.
        DataError
            Too few labelled rows, or a fold without a past.
        """
        from ml.feature_engineering import add_all_features
        from ml.labels.splits import PurgedWalkForward

        dataset = build_dataset(bars, ml_settings, settings.frame, news, settings.instrument.calendar)
        model = ml_settings.signal_model
        splitter = PurgedWalkForward(folds, label_end=dataset.label_end, embargo=model.embargo_bars)
        walk = list(splitter.split(dataset.features))
        for fold, (train, _) in enumerate(walk):
            check_past(dataset.labels[train], fold, model.calibration_folds)
        bracket = bracket_of(settings, ml_settings)
        return cls(
            bars=bars,
            frame=settings.frame,
            calendar=settings.instrument.calendar,
            atr=add_all_features(bars, news, settings.frame)["atr"].to_numpy(dtype=np.float64),
            dataset=dataset,
            folds=walk,
            bracket=bracket,
            comparable={
                "search": "signal",
                "bars": hash_bars(bars),
                "features": list(ml_settings.features),
                "news_events": None if news is None else len(news.event_times),
                "labeling": ml_settings.labeling.model_dump(mode="json"),
                "signal_model": fixed_settings(model.model_dump(mode="json"), SIGNAL_SPACE, "signal_model"),
                "bracket": vars(bracket),
                "folds": folds,
                "devices": [devices.xgb, devices.lgb],
            },
            devices=devices,
            threads=threads,
            space=signal_space(ml_settings),
        )

    def run_fold(self, ml_settings: MlSettings, fold: int, progress: Progress) -> FoldResult:
        """Train on the fold's past and trade its test rows.

        Raises
        ------
        DataError
            The past is too short to hold every class in every calibration fold.
        """
        train, test = self.folds[fold]
        trained = self._train(train, ml_settings, progress)
        scaled = Scaling(trained.scaler.mean_, trained.scaler.scale_).apply(self.dataset.features[test])
        probabilities = np.stack([trained.members[name].predict_proba(scaled) for name in MEMBERS], axis=1)
        times = epoch_seconds(self.bars)[self.dataset.bar_index[test]]
        # A share of bars becomes a threshold by what these members said of their own held-out past.
        rule = decided(ml_settings, Selectivity.of(trained.out_of_fold)).prediction
        entries = find_entries(
            self.bars, OutOfFold(times, probabilities), rule.confidence_threshold, rule.min_probability_diff
        )
        results = take_trades(self.bars, self.atr, entries, self.bracket, self.frame, self.calendar)
        return FoldResult(gains=results, results=results, acted=len(results))

    def _train(self, train: IntArray, ml_settings: MlSettings, progress: Progress) -> TrainedEnsemble:
        """Fit and calibrate the members on rows of the past."""
        from ml.labels.splits import PurgedKFold, label_end_positions

        data, model = self.dataset, ml_settings.signal_model
        splitter = PurgedKFold(
            model.calibration_folds,
            label_end=label_end_positions(data.label_end, train),
            embargo=model.embargo_bars,
        )
        weights = data.weights[train]
        times = epoch_seconds(self.bars)[data.bar_index]
        return train_ensemble(
            TrainingRows(data.features[train], data.labels[train], weights / weights.mean(), times[train]),
            list(splitter.split(train)),
            model,
            devices=self.devices,
            threads=self.threads,
            seed=model.seed,
            warm=None,
            progress=progress,
        )


def take_trades(
    bars: pd.DataFrame,
    atr: Float64Array,
    entries: Entries,
    bracket: Bracket,
    frame: Timeframe,
    calendar: TradingCalendar | None = None,
) -> Float64Array:
    """Return the results of the entries in R, costs paid, taken one at a time.

    An entry whose order no broker would accept, or whose trade a gap or the end of the bars
    hides, is not taken.

    Parameters
    ----------
    bars : pandas.DataFrame
    atr : ndarray, shape (n,)
        USD, one per bar.
    entries : Entries
    bracket : Bracket
    frame : Timeframe
        Of the bars.
    calendar : TradingCalendar, optional
        When the market deals.
    """
    trades = label_positions(bars, atr, entries, bracket, venue_seams(bars), frame=frame, calendar=calendar)
    return trades.final_r[one_at_a_time(trades.first, trades.last)]
